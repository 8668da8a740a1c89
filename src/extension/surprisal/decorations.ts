import * as vscode from "vscode";
import { offsetsOf, withMargin } from "./editorRanges";
import type { Scores } from "./scores";
import { peaksOf, STEPS, shadedOf, stepOf } from "./shading";

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
  readonly #peaks = vscode.window.createTextEditorDecorationType({
    overviewRulerColor: new vscode.ThemeColor("decoderLab.surprisalLine"),
    overviewRulerLane: vscode.OverviewRulerLane.Right,
  });

  draw(editor: vscode.TextEditor, scores: Scores): void {
    const { document } = editor;
    const ranges = STEPS.map((): vscode.Range[] => []);
    const range = (start: number, end: number) =>
      new vscode.Range(document.positionAt(start), document.positionAt(end));
    for (const near of withMargin(editor)) {
      for (const { start, end, bits } of shadedOf(scores.tokens(...offsetsOf(document, near)))) {
        ranges[stepOf(bits)]?.push(range(start, end));
      }
    }
    for (const [i, type] of this.#steps.entries()) editor.setDecorations(type, ranges[i] ?? []);
    const peaks = peaksOf(shadedOf(scores.tokens()), MAX_PEAKS);
    editor.setDecorations(
      this.#peaks,
      peaks.map(({ start, end }) => range(start, end)),
    );
  }

  dispose(): void {
    for (const type of [...this.#steps, this.#peaks]) type.dispose();
  }
}
