/** The text of a generation that ends before the first of several stop strings. */
export class StopText {
  readonly #stops: readonly string[];
  readonly #longest: number;
  #text = "";
  #end: number | null = null;

  /** An empty stop string has no effect. */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
    this.#longest = Math.max(0, ...this.#stops.map((stop) => stop.length));
  }

  /** The text so far, up to the stop string. */
  get text(): string {
    return this.#end === null ? this.#text : this.#text.slice(0, this.#end);
  }

  /** The same without an end that a stop string may begin with: it will not be taken back. */
  get settled(): string {
    const { text } = this;
    if (this.#end !== null) return text;
    for (let from = Math.max(0, text.length - this.#longest + 1); from < text.length; from++) {
      const end = text.slice(from);
      if (this.#stops.some((stop) => stop.startsWith(end))) return text.slice(0, from);
    }
    return text;
  }

  /** Appends text; returns whether it completes a stop string. Nothing is appended after one. */
  push(more: string): boolean {
    if (this.#end !== null) return true;
    const from = Math.max(0, this.#text.length - this.#longest + 1);
    this.#text += more;
    const found = this.#stops.map((stop) => this.#text.indexOf(stop, from)).filter((at) => at >= 0);
    if (found.length > 0) this.#end = Math.min(...found);
    return found.length > 0;
  }
}
