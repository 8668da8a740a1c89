/** Whether to complete here at all: pure, and answered before anything is asked of the model. */

export interface Situation {
  readonly enabled: boolean;
  readonly languages: Readonly<Record<string, boolean>>;
  readonly languageId: string;
  /** The path of the document, with slashes. */
  readonly path: string;
  /** It matches one of the user's patterns. */
  readonly excluded: boolean;
  /** It is a document a person writes: not an output, a diff's old side, or an input box of the source control view. */
  readonly writable: boolean;
  readonly cursors: number;
  readonly selectionEmpty: boolean;
  /** The rest of the cursor's line. */
  readonly after: string;
}

export type Reason = "disabled" | "language" | "excluded" | "secret" | "readOnly" | "cursors" | "selection" | "midLine";

/** Why nothing is suggested, or null when something may be. */
export function skipReason(situation: Situation): Reason | null {
  if (!situation.enabled) return "disabled";
  if (!isEnabledFor(situation.languages, situation.languageId)) return "language";
  if (situation.excluded) return "excluded";
  if (holdsSecrets(situation.path)) return "secret";
  if (!situation.writable) return "readOnly";
  if (situation.cursors > 1) return "cursors";
  if (!situation.selectionEmpty) return "selection";
  if (!onlyCloses(situation.after)) return "midLine";
  return null;
}

/** A setting by language, where "*" stands for all that are not listed. */
export const isEnabledFor = (languages: Readonly<Record<string, boolean>>, languageId: string): boolean =>
  languages[languageId] ?? languages["*"] ?? false;

/** Brackets, quotes and punctuation that an editor puts after the cursor by itself. */
const onlyCloses = (after: string): boolean => /^\s*[)\]}>"'`»”’:;,.]*\s*$/.test(after);

const SECRETS = [
  // .env, .env.local, prod.env; but not .env.example, which is made to be read
  /(^|\/)[^/]*\.env(\.(?!example$|sample$|template$)[^/]+)?$/,
  /\.(pem|key|p12|pfx|jks|keystore|kdbx|asc|gpg|ppk|der|crt|cer)$/,
  /(^|\/)id_(rsa|dsa|ecdsa|ed25519)(\.pub)?$/,
  /(^|\/)\.(netrc|npmrc|pypirc|pgpass|htpasswd|git-credentials|vault-token)$/,
  /(^|\/)\.(ssh|aws|azure|gnupg|kube|docker)\//,
  /(^|\/)(credentials|secrets?)(\.(json|ya?ml|toml|ini|txt))?$/,
];

/** Files that usually hold passwords or keys. */
export const holdsSecrets = (path: string): boolean => SECRETS.some((pattern) => pattern.test(path.toLowerCase()));
