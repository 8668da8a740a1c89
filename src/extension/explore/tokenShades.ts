import * as vscode from "vscode";

/** A decoration type has a fixed color, so weights are rounded to this many shades. */
const SHADES = 8;

/** Shades the tokens in an editor by weights from 0 to 1: the attention of the selected token. */
export class TokenShades implements vscode.Disposable {
  readonly #types = Array.from({ length: SHADES }, (_, i) => createShade((i + 1) / SHADES));

  /** Replaces the shades of an editor. `rangesOf` returns the source ranges of a token. */
  draw(editor: vscode.TextEditor, weights: Float32Array | null, rangesOf: (token: number) => vscode.Range[]): void {
    const shaded = this.#types.map((): vscode.Range[] => []);
    for (const [token, weight] of weights?.entries() ?? []) {
      const shade = Math.min(SHADES, Math.round(weight * SHADES));
      if (shade > 0) shaded[shade - 1]?.push(...rangesOf(token));
    }
    for (const [i, type] of this.#types.entries()) editor.setDecorations(type, shaded[i] ?? []);
  }

  dispose(): void {
    for (const type of this.#types) type.dispose();
  }
}

/** The blue of positive values, light enough to read text on. Theme colors cannot be made transparent. */
const createShade = (weight: number): vscode.TextEditorDecorationType => {
  const blue = (maxAlpha: number) => ({ backgroundColor: `rgba(26, 133, 255, ${(maxAlpha * weight).toFixed(3)})` });
  return vscode.window.createTextEditorDecorationType({ light: blue(0.6), dark: blue(0.5) });
};
