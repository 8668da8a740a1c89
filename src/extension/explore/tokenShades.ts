/** Shades of the tokens in an editor, each by a weight from 0 to 1: what the selected token looks at. */

import * as vscode from "vscode";

/** Decorations have fixed colors, so there is one for each of so many strengths. */
const SHADES = 8;

export class TokenShades implements vscode.Disposable {
  readonly #types = Array.from({ length: SHADES }, (_, i) => shade((i + 1) / SHADES));

  /** Shades an editor's tokens; null takes the shades away. `rangesOf` says where a token is. */
  draw(editor: vscode.TextEditor, weights: Float32Array | null, rangesOf: (token: number) => vscode.Range[]): void {
    const shaded = this.#types.map((): vscode.Range[] => []);
    for (const [token, weight] of weights?.entries() ?? []) {
      const strength = Math.min(SHADES, Math.round(weight * SHADES));
      if (strength > 0) shaded[strength - 1]?.push(...rangesOf(token));
    }
    for (const [i, type] of this.#types.entries()) editor.setDecorations(type, shaded[i] ?? []);
  }

  dispose(): void {
    for (const type of this.#types) type.dispose();
  }
}

/**
 * The blue of positive values: a theme's color cannot be made transparent. At its strongest the themes' own text still
 * reads on it.
 */
const shade = (weight: number): vscode.TextEditorDecorationType => {
  const blue = (most: number) => ({ backgroundColor: `rgba(26, 133, 255, ${(most * weight).toFixed(3)})` });
  return vscode.window.createTextEditorDecorationType({ light: blue(0.6), dark: blue(0.5) });
};
