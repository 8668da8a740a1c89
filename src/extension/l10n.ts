/**
 * Translates the texts of the extension. Unlike `vscode.l10n`, it also works in modules that are tested without VS Code.
 *
 * Until extension.ts sets `vscode.l10n.t`, texts are returned untranslated.
 */

type Argument = string | number;
type Translate = (message: string, ...args: Argument[]) => string;

let translate: Translate = (message, ...args) =>
  message.replace(/\{(\d+)\}/g, (whole, index: string) => String(args[Number(index)] ?? whole));

export const l10n = {
  t: (message: string, ...args: Argument[]): string => translate(message, ...args),
  use: (translator: Translate): void => {
    translate = translator;
  },
};
