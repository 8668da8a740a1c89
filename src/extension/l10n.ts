/**
 * Translation for code that also runs outside VS Code, in tests and in pure modules.
 *
 * `extension.ts` hands over `vscode.l10n.t`; until then a sentence is shown as it is written.
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
