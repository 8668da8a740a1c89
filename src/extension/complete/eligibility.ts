/** The cursor and its document, as far as they decide whether to offer a completion. */
export interface Situation {
  readonly enabled: boolean;
  readonly isSnoozed: boolean;
  readonly languages: Languages;
  /** True if the model was trained on code. */
  readonly readsCode: boolean;
  readonly languageId: string;
  /** The path of the document, separated by slashes. */
  readonly path: string;
  /** True if the path matches a pattern of the setting. */
  readonly excluded: boolean;
  /** False for outputs, the old side of a diff, and the input box of source control. */
  readonly writable: boolean;
  readonly cursors: number;
  readonly selectionEmpty: boolean;
  /** The rest of the cursor's line. */
  readonly after: string;
}

/** A setting by language, in which "*" means every language that is not listed. */
export type Languages = Readonly<Record<string, boolean>>;

export type Reason =
  | "disabled"
  | "snoozed"
  | "language"
  | "excluded"
  | "secret"
  | "readOnly"
  | "cursors"
  | "selection"
  | "midLine";

/** The reason not to offer a completion, or null. Checked before the model is asked. */
export function skipReason(situation: Situation): Reason | null {
  if (!situation.enabled) return "disabled";
  if (situation.isSnoozed) return "snoozed";
  if (!isEnabledFor(situation.languages, situation.languageId, situation.readsCode)) return "language";
  if (situation.excluded) return "excluded";
  if (holdsSecrets(situation.path)) return "secret";
  if (!situation.writable) return "readOnly";
  if (situation.cursors > 1) return "cursors";
  if (!situation.selectionEmpty) return "selection";
  if (!onlyCloses(situation.after)) return "midLine";
  return null;
}

const PROSE = ["plaintext", "markdown"];

/** Returns the setting of a language. A language that it does not decide is on if the model can read it. */
export const isEnabledFor = (languages: Languages, languageId: string, readsCode: boolean): boolean =>
  languages[languageId] ?? languages["*"] ?? (readsCode || PROSE.includes(languageId));

/** Matches brackets, quotes and punctuation that editors insert after the cursor. */
const onlyCloses = (after: string): boolean => /^\s*[)\]}>"'`»”’:;,.]*\s*$/.test(after);

const SECRETS = [
  // .env, .env.local, prod.env; but not .env.example, which has no secrets
  /(^|\/)[^/]*\.env(\.(?!example$|sample$|template$)[^/]+)?$/,
  /\.(pem|key|p12|pfx|jks|keystore|kdbx|asc|gpg|ppk|der|crt|cer)$/,
  /(^|\/)id_(rsa|dsa|ecdsa|ed25519)(\.pub)?$/,
  /(^|\/)\.(netrc|npmrc|pypirc|pgpass|htpasswd|git-credentials|vault-token)$/,
  /(^|\/)\.(ssh|aws|azure|gnupg|kube|docker)\//,
  /(^|\/)(credentials|secrets?)(\.(json|ya?ml|toml|ini|txt))?$/,
];

/** True for files that usually contain passwords or keys. */
export const holdsSecrets = (path: string): boolean => SECRETS.some((pattern) => pattern.test(path.toLowerCase()));
