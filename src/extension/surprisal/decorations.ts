import * as vscode from "vscode";
import { offsetsOf, withMargin } from "./editorRanges";
import type { Scores } from "./scores";
import { peaksOf, STEPS, shadedOf, stepOf, unknownOf } from "./shading";

/** Marks in the overview ruler. */
const MAX_PEAKS = 500;

/** The decorations, one type per step. Different lines distinguish the steps without color. */
export class SurprisalDecorations implements vscode.Disposable {
  readonly #steps = STEPS.map((_, i) => {
    const line = ["1px dotted", "1px dashed", "1px solid", "2px solid"][i] ?? "";
    return vscode.window.createTextEditorDecorationType({
      backgroundColor: new vscode.ThemeColor(`decoderLab.surprisal${i + 1}`),
      borderColor: new vscode.ThemeColor("decoderLab.surprisalLine"),
      borderStyle: line.split(" ")[1],
      borderWidth: `0 0 ${line.split(" ")[0]} 0`,
    });
  });
  /** A model has no surprisal for these: framed, not colored. */
  readonly #unknown = vscode.window.createTextEditorDecorationType({
    outlineColor: new vscode.ThemeColor("decoderLab.surprisalLine"),
    outlineStyle: "dotted",
    outlineWidth: "1px",
  });
  readonly #peaks = vscode.window.createTextEditorDecorationType({
    overviewRulerColor: new vscode.ThemeColor("decoderLab.surprisalLine"),
    overviewRulerLane: vscode.OverviewRulerLane.Right,
  });

  draw(editor: vscode.TextEditor, scores: Scores): void {
    const { document } = editor;
    const ranges = STEPS.map((): vscode.Range[] => []);
    const unknown: vscode.Range[] = [];
    const range = (start: number, end: number) =>
      new vscode.Range(document.positionAt(start), document.positionAt(end));
    for (const near of withMargin(editor)) {
      const tokens = [...scores.tokens(...offsetsOf(document, near))];
      for (const { start, end, bits } of shadedOf(tokens)) ranges[stepOf(bits)]?.push(range(start, end));
      for (const { start, end } of unknownOf(tokens)) unknown.push(range(start, end));
    }
    for (const [i, type] of this.#steps.entries()) editor.setDecorations(type, ranges[i] ?? []);
    editor.setDecorations(this.#unknown, unknown);
    const peaks = peaksOf(shadedOf(scores.tokens()), MAX_PEAKS);
    editor.setDecorations(
      this.#peaks,
      peaks.map(({ start, end }) => range(start, end)),
    );
  }

  dispose(): void {
    for (const type of [...this.#steps, this.#unknown, this.#peaks]) type.dispose();
  }
}
