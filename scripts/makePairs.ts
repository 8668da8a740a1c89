/**
 * Writes samples/english-french.tsv: English sentences and their French translations from a grammar, for a small
 * translator to learn.
 *
 *   node scripts/makePairs.ts
 *
 * It covers the difficult parts of French: articles and adjectives agree in gender and number; some adjectives come
 * before the noun, most after it; words elide or change before a vowel (l'oiseau, n'aime, un vieil ours, mon oie); a
 * negation surrounds the verb and turns "un" into "de".
 */

import { writeFile } from "node:fs/promises";
import { random } from "../src/engine/random.ts";
import { inRoot, runAsScript } from "./paths.ts";

const SEED = 11;
const COUNT = 2000;

type Pick = <T>(options: readonly T[]) => T;

/** Singular and plural. */
type Numbers = readonly [one: string, many: string];

interface Noun {
  readonly english: Numbers;
  readonly french: Numbers;
  readonly isFeminine: boolean;
}

interface Adjective {
  readonly english: string;
  /** Masculine and feminine, each in singular and plural. */
  readonly french: { readonly m: Numbers; readonly f: Numbers };
  readonly isBefore: boolean;
  /** The masculine form before a vowel, if it is different. */
  readonly beforeVowel?: string;
}

interface Verb {
  /** "sleeps", "sleep". */
  readonly english: Numbers;
  readonly french: Numbers;
}

const noun = (english: string, french: string, gender: "m" | "f"): Noun => {
  const [one = "", many = `${one}s`] = english.split("/");
  const [un = "", des = `${un}s`] = french.split("/");
  return { english: [one, many], french: [un, des], isFeminine: gender === "f" };
};

const NOUNS = [
  noun("cat", "chat", "m"),
  noun("dog", "chien", "m"),
  noun("bird", "oiseau/oiseaux", "m"),
  noun("horse", "cheval/chevaux", "m"),
  noun("bear", "ours/ours", "m"),
  noun("mouse/mice", "souris/souris", "f"),
  noun("cow", "vache", "f"),
  noun("goose/geese", "oie", "f"),
  noun("frog", "grenouille", "f"),
  noun("ant", "fourmi", "f"),
];

/** Parses "petit/petite". The plurals add an s unless they are given too. */
const adjective = (english: string, french: string, place: "before" | "after", beforeVowel?: string): Adjective => {
  const [m = "", f = `${m}e`, ms = `${m}s`, fs = `${f}s`] = french.split("/");
  const forms = { m: [m, ms], f: [f, fs] } as const;
  return { english, french: forms, isBefore: place === "before", ...(beforeVowel && { beforeVowel }) };
};

const ADJECTIVES = [
  adjective("small", "petit", "before"),
  adjective("big", "grand", "before"),
  adjective("old", "vieux/vieille/vieux/vieilles", "before", "vieil"),
  adjective("beautiful", "beau/belle/beaux/belles", "before", "bel"),
  adjective("black", "noir", "after"),
  adjective("white", "blanc/blanche", "after"),
  adjective("red", "rouge/rouge", "after"),
  adjective("happy", "heureux/heureuse/heureux/heureuses", "after"),
  adjective("intelligent", "intelligent", "after"),
];
const BEFORE = ADJECTIVES.filter(({ isBefore }) => isBefore);
const AFTER = ADJECTIVES.filter(({ isBefore }) => !isBefore);

const verb = (english: string, french: string): Verb => {
  const [one, many] = english.split("/") as [string, string];
  const [un, des] = french.split("/") as [string, string];
  return { english: [one, many], french: [un, des] };
};
const TO_BE = verb("is/are", "est/sont");
const INTRANSITIVE = [
  verb("sleeps/sleep", "dort/dorment"),
  verb("runs/run", "court/courent"),
  verb("sings/sing", "chante/chantent"),
  verb("eats/eat", "mange/mangent"),
  verb("arrives/arrive", "arrive/arrivent"),
];
const TRANSITIVE = [
  verb("sees/see", "voit/voient"),
  verb("likes/like", "aime/aiment"),
  verb("follows/follow", "suit/suivent"),
  verb("hears/hear", "entend/entendent"),
  verb("looks for/look for", "cherche/cherchent"),
];
const PLACES: readonly (readonly [string, string])[] = [
  ["in the garden", "dans le jardin"],
  ["in the house", "dans la maison"],
  ["in the street", "dans la rue"],
  ["here", "ici"],
  ["today", "aujourd'hui"],
];

type Determiner = "the" | "a" | "this" | "my" | "two";
const DETERMINERS: readonly Determiner[] = ["the", "the", "the", "a", "this", "my", "two"];

interface Phrase {
  readonly english: string;
  readonly french: string;
  readonly isFeminine: boolean;
  readonly isMany: boolean;
}

const of = ([one, many]: Numbers, isMany: boolean) => (isMany ? many : one);
const startsWithVowel = (word: string) => /^[aeiouéh]/.test(word);
/** Joins two words, with elision: "le" and "ours" become "l'ours". */
const elided = (word: string, next: string) =>
  startsWithVowel(next) ? `${word.slice(0, -1)}'${next}` : `${word} ${next}`;
const agreeing = ({ french }: Adjective, isFeminine: boolean, isMany: boolean) =>
  of(isFeminine ? french.f : french.m, isMany);

/** A noun with its determiner and up to two adjectives. `isNegated` if it is the object of a negated verb. */
function nounPhrase(pick: Pick, isNegated = false): Phrase {
  const { english, french, isFeminine } = pick(NOUNS);
  const determiner = pick(DETERMINERS);
  const isMany = determiner === "two" || pick([false, false, true]);
  const before = pick([null, null, pick(BEFORE)]);
  const after = pick([null, null, pick(AFTER)]);

  const frenchNoun = of(french, isMany);
  const isSpecial = before?.beforeVowel && !isFeminine && !isMany && startsWithVowel(frenchNoun);
  const frenchBefore = before && (isSpecial ? before.beforeVowel : agreeing(before, isFeminine, isMany));
  const words = [frenchBefore, frenchNoun, after && agreeing(after, isFeminine, isMany)].filter(Boolean).join(" ");

  const englishWords = [before?.english, after?.english, of(english, isMany)].filter(Boolean).join(" ");
  return {
    english: `${englishDeterminer(determiner, isMany, englishWords)} ${englishWords}`,
    french: withDeterminer(determiner, { words, isFeminine, isMany, isNegated, hasBefore: before !== null }),
    isFeminine,
    isMany,
  };
}

function englishDeterminer(determiner: Determiner, isMany: boolean, next: string): string {
  if (determiner === "a") return isMany ? "some" : /^[aeiou]/.test(next) ? "an" : "a";
  if (determiner === "this") return isMany ? "these" : "this";
  return determiner;
}

function withDeterminer(
  determiner: Determiner,
  noun: { words: string; isFeminine: boolean; isMany: boolean; isNegated: boolean; hasBefore: boolean },
): string {
  const { words, isFeminine, isMany, isNegated, hasBefore } = noun;
  const isVowel = startsWithVowel(words);
  switch (determiner) {
    case "the":
      return isMany ? `les ${words}` : elided(isFeminine ? "la" : "le", words);
    case "a":
      // "pas de chat", and "de petits chats".
      if (isNegated || (isMany && hasBefore)) return elided("de", words);
      return `${isMany ? "des" : isFeminine ? "une" : "un"} ${words}`;
    case "this":
      return `${isMany ? "ces" : isFeminine ? "cette" : isVowel ? "cet" : "ce"} ${words}`;
    case "my":
      return `${isMany ? "mes" : isFeminine && !isVowel ? "ma" : "mon"} ${words}`;
    case "two":
      return `deux ${words}`;
  }
}

const PRONOUNS: readonly Phrase[] = [
  { english: "he", french: "il", isFeminine: false, isMany: false },
  { english: "she", french: "elle", isFeminine: true, isMany: false },
  { english: "they", french: "ils", isFeminine: false, isMany: true },
];

/** A verb with its negation: "does not see", "ne voit pas". */
function verbPhrase({ english, french }: Verb, isMany: boolean, isNegated: boolean): readonly [string, string] {
  const conjugated = of(french, isMany);
  if (!isNegated) return [of(english, isMany), conjugated];
  const isToBe = english === TO_BE.english;
  const negated = isToBe ? `${of(english, isMany)} not` : `${isMany ? "do" : "does"} not ${english[1]}`;
  return [negated, `${elided("ne", conjugated)} pas`];
}

function sentence(pick: Pick): string {
  const subject = pick([true, true, true, false]) ? nounPhrase(pick) : pick(PRONOUNS);
  const isNegated = pick([true, false, false]);
  const parts: (readonly [string, string])[] = [[subject.english, subject.french]];
  const add = (used: Verb) => parts.push(verbPhrase(used, subject.isMany, isNegated));
  switch (pick(["acts", "acts", "does", "does", "is"])) {
    case "acts":
      add(pick(INTRANSITIVE));
      if (pick([true, false])) parts.push(pick(PLACES));
      break;
    case "does": {
      add(pick(TRANSITIVE));
      const object = nounPhrase(pick, isNegated);
      parts.push([object.english, object.french]);
      break;
    }
    case "is": {
      add(TO_BE);
      const quality = pick(ADJECTIVES);
      parts.push([quality.english, agreeing(quality, subject.isFeminine, subject.isMany)]);
    }
  }
  const [english, french] = [0, 1].map((side) => parts.map((part) => part[side]).join(" "));
  return `${english}\t${french}`;
}

/** Lines with an English sentence, a tab, and its translation. No sentence is repeated. */
export function makePairs(count: number, seed: number): string[] {
  const draws = random(seed, "pairs");
  const pick: Pick = (options) => options[draws.below(options.length)] as (typeof options)[number];
  const pairs = new Map<string, string>();
  while (pairs.size < count) {
    const pair = sentence(pick);
    pairs.set(pair.split("\t", 1)[0] as string, pair);
  }
  return [...pairs.values()];
}

runAsScript(import.meta.url, () =>
  writeFile(inRoot("samples/english-french.tsv"), `${makePairs(COUNT, SEED).join("\n")}\n`),
);
