/** Reads the tokens of a file and prints their number. */

import { openCorpus, readTokens } from "../../../src/engine/data";
import { trainCharacters } from "../../../src/engine/tokenizers";

const corpus = await openCorpus({ kind: "paths", paths: process.argv.slice(2) });
const { tokens } = await readTokens(corpus, await trainCharacters(corpus.chunks()));
console.log(tokens.length);
