/** The cursor and its document, as far as they decide whether to offer a completion. */
export interface Situation {
  readonly enabled: boolean;
  readonly languages: Readonly<Record<string, boolean>>;
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

export type Reason = "disabled" | "language" | "excluded" | "secret" | "readOnly" | "cursors" | "selection" | "midLine";

/** The reason not to offer a completion, or null. Checked before the model is asked. */
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

/** Reads a setting by language, in which "*" means every language that is not listed. */
export const isEnabledFor = (languages: Readonly<Record<string, boolean>>, languageId: string): boolean =>
  languages[languageId] ?? languages["*"] ?? false;

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
