/** Tokenizes a file into a cache, draws batches from it, and prints the number of tokens and the peak memory. */

import { DataCache, openCorpus, randomBatch, tokenizeCorpus } from "../../../src/engine/data";

const [path = "", folder = ""] = process.argv.slice(2);
const corpus = await openCorpus({ kind: "paths", paths: [path] });
const { tokens } = await tokenizeCorpus(corpus, { kind: "characters" }, { cache: new DataCache(folder) });
for (let step = 1; step <= 100; step++) randomBatch(tokens, { batchSize: 12, blockSize: 64, seed: 1, step });
console.log(JSON.stringify({ tokens: tokens.length, megabytes: process.resourceUsage().maxRSS / 1024 }));
