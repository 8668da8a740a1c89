/**
 * Answers of the Hub's API, which are JSON: bounded in size, number and time, because a server may send without end.
 * Downloads have limits of their own, from the sizes that these answers give.
 */

import { JsonProblem, scanJson } from "../../files/json";
import { EngineError } from "../errors";
import { type Connection, invalidResponse, Unreachable, withinTime } from "./connection";

/** Far more than the longest list of files or models on the Hub. */
const MAX_BYTES = 16_000_000;
const MAX_PAGES = 300;
const MAX_TOTAL_BYTES = 64_000_000;
const JSON_LIMITS = { depth: 50, values: 1_000_000 };

/** Fetches the answers of one question, which may have several pages. All of them share the limits. */
export function answersOf(connection: Connection): Connection["fetch"] {
  const { endpoint, retry, signal } = connection;
  const deadline = AbortSignal.timeout(retry.answerMs);
  let [pages, total] = [0, 0];

  const read = async (response: Response): Promise<Uint8Array<ArrayBuffer>> => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of withinTime(response, retry.stallMs)) {
      length += chunk.length;
      total += chunk.length;
      if (length > MAX_BYTES || total > MAX_TOTAL_BYTES) throw invalidResponse(connection, "its answer is too long");
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  };

  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.origin !== new URL(endpoint).origin) throw invalidResponse(connection, "its list continues elsewhere");
    if (++pages > MAX_PAGES) throw invalidResponse(connection, "its list does not end");
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await connection.fetch(url, { ...init, signal: deadline });
        const body = await read(response);
        requireBounded(connection, new TextDecoder().decode(body));
        return new Response(body, { status: response.status, headers: linkOf(response) });
      } catch (error) {
        signal.throwIfAborted();
        if (deadline.aborted) throw tooSlow(url, retry.answerMs);
        if (error instanceof EngineError) throw error;
        if (attempt >= retry.attempts) throw new Unreachable(url, error);
      }
    }
  };
}

/** Only the link to the next page is needed. */
function linkOf({ headers }: Response): Record<string, string> {
  const link = headers.get("link");
  return link === null ? {} : { link };
}

function requireBounded(connection: Connection, text: string): void {
  try {
    scanJson(text, JSON_LIMITS);
  } catch (error) {
    if (error instanceof JsonProblem) throw invalidResponse(connection, `its answer ${error.problem}`, error);
    throw error;
  }
}

const tooSlow = ({ host }: URL, milliseconds: number): EngineError =>
  new EngineError(
    "hub",
    `${host} did not finish its answer in ${Math.ceil(milliseconds / 1000)} s. Check the network and try again, or use a mirror (HF_ENDPOINT).`,
  );
