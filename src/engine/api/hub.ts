/** Access to the Hugging Face hub, and imports from it. */

export interface HubAccess {
  /** For gated and private models; by default HF_TOKEN or the file that `hf auth login` writes. */
  readonly token?: string | undefined;
  /** Address of a mirror; by default HF_ENDPOINT or the hub itself. */
  readonly endpoint?: string | undefined;
  /** Use the cache only; HF_HUB_OFFLINE=1 has the same effect. */
  readonly offline?: boolean | undefined;
}

export interface FoundModel {
  readonly id: string;
  readonly downloads: number;
  readonly likes: number;
  readonly parameters?: number;
  readonly modelType?: string;
}

/** The model in a file, before its import. */
export interface ModelFileInfo {
  readonly parameters: number;
  /** Size of the stored weights. */
  readonly bytes: number;
  readonly isQuantized: boolean;
}

export interface ImportProgress {
  readonly phase: "connect" | "download" | "check" | "copy" | "convert" | "quantize" | "measure";
  /** The current file; empty before the first one. */
  readonly file: string;
  /** Over all files of the phase; files that existed before count as done. */
  readonly bytes: number;
  /** 0 while unknown. */
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  /** Null while the speed is unknown. */
  readonly secondsLeft: number | null;
}
