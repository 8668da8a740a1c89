import type { TokenSpan } from "../api/tokens";
import { cooperate } from "./cooperate";
import type { Tokenizer } from "./tokenizer";

export interface DocumentToken {
  readonly span: TokenSpan;
  /** Counted from 0 over the document. */
  readonly index: number;
}

/**
 * One version of a document, tokenized on demand.
 *
 * The text is cut into segments that no token spans. Only a segment's token count is stored; its tokens are computed again
 * when one is requested. The next version of the document keeps the counts of unchanged segments.
 */
export class DocumentTokens {
  readonly text: string;
  readonly #tokenizer: Tokenizer;
  readonly #segments: readonly Segment[];
  #latest: { readonly segment: Segment; readonly spans: readonly TokenSpan[] } | null = null;

  /** `previous` is an earlier version of the same document, with the same tokenizer. */
  constructor(tokenizer: Tokenizer, text: string, previous?: DocumentTokens) {
    this.text = text;
    this.#tokenizer = tokenizer;
    this.#segments = previous ? previous.#resegment(text) : cut(tokenizer, text, 0, text.length);
  }

  /** Returns the token of the character at a UTF-16 offset, the first if several share it; null past the end. */
  async tokenAt(offset: number, signal?: AbortSignal): Promise<DocumentToken | null> {
    const i = this.#segments.findIndex(({ end }) => offset < end);
    const segment = this.#segments[i];
    if (!segment || offset < 0) return null;
    const before = await this.#countBefore(i, signal);
    const spans = this.#spans(segment);
    const k = spans.findIndex(({ end }) => offset < end);
    const span = spans[k];
    return span ? { span, index: before + k } : null;
  }

  /** The number of tokens in the document. */
  count(signal?: AbortSignal): Promise<number> {
    return this.#countBefore(this.#segments.length, signal);
  }

  async #countBefore(i: number, signal?: AbortSignal): Promise<number> {
    const pause = cooperate(signal);
    let total = 0;
    for (const segment of this.#segments.slice(0, i)) {
      segment.count ??= this.#tokenizer.count(this.text.slice(segment.start, segment.end), positionOf(segment));
      total += segment.count;
      await pause();
    }
    return total;
  }

  #spans(segment: Segment): readonly TokenSpan[] {
    if (this.#latest?.segment === segment) return this.#latest.spans;
    const { start, end } = segment;
    const spans = this.#tokenizer.spans(this.text.slice(start, end), positionOf(segment));
    const shifted = spans.map((span) => ({ ...span, start: start + span.start, end: start + span.end }));
    this.#latest = { segment, spans: shifted };
    return shifted;
  }

  /** Returns the next version's segments: those before and after the change are kept, new ones replace the rest. */
  #resegment(text: string): Segment[] {
    const segments = this.#segments;
    const shift = text.length - this.text.length;
    // The characters around a cut decide whether it is valid, so they must be unchanged.
    const same = ({ start, end }: Segment, by: number): boolean => {
      const from = Math.max(start - CUT_CONTEXT, 0);
      const startsAlike = start >= CUT_CONTEXT || by === 0;
      const endsAlike = end + CUT_CONTEXT <= this.text.length || by === shift;
      return startsAlike && endsAlike && text.startsWith(this.text.slice(from, end + CUT_CONTEXT), from + by);
    };

    let head = 0;
    while (head < segments.length && same(segments[head] as Segment, 0)) head++;
    const start = segments[head - 1]?.end ?? 0;

    let tail = segments.length;
    for (; tail > head; tail--) {
      const segment = segments[tail - 1] as Segment;
      if (segment.start + shift < start || !same(segment, shift)) break;
    }
    const kept = segments.slice(tail).map((s) => ({ start: s.start + shift, end: s.end + shift, count: s.count }));

    return [...segments.slice(0, head), ...cut(this.#tokenizer, text, start, kept[0]?.start ?? text.length), ...kept];
  }
}

interface Segment {
  readonly start: number;
  readonly end: number;
  /** Number of tokens, counted on first use. */
  count?: number | undefined;
}

const positionOf = ({ start }: Segment) => (start === 0 ? "start" : "middle");

/** UTF-16 units: a segment takes a few milliseconds, and a large document does not have too many segments. */
const SEGMENT_LENGTH = 8192;
/** Characters around a cut that must not change; longer than any added token. */
const CUT_CONTEXT = 256;

/** Segments of the text from `start` to `end`, which are both valid cuts. */
function cut(tokenizer: Tokenizer, text: string, start: number, end: number): Segment[] {
  const segments: Segment[] = [];
  for (let from = start; from < end; ) {
    const to = Math.min(tokenizer.next(text, from + SEGMENT_LENGTH), end);
    segments.push({ start: from, end: to });
    from = to;
  }
  return segments;
}
