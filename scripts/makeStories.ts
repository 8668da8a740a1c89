/**
 * Writes samples/stories.txt: simple English stories from a grammar, for a small model to learn.
 *
 *   node scripts/makeStories.ts
 *
 * A story is a plot with two friends, a thing, and a location. Events have causes and consequences, and facts about a
 * character stay true, so that a model has to attend to earlier text to predict the rest.
 */

import { writeFile } from "node:fs/promises";
import { type Random, random } from "../src/engine/random.ts";
import { inRoot, runAsScript } from "./paths.ts";

const SEED = 7;
const LENGTH = 600_000;

/** A character of a story. */
interface Friend {
  readonly name: string;
  /** "fox" or "boy": mentioned once, when the character enters. */
  readonly kind: string;
  readonly he: "he" | "she";
  readonly his: "his" | "her";
  readonly him: "him" | "her";
}

interface Story {
  readonly hero: Friend;
  readonly friend: Friend;
  /** Draws one of the options. */
  readonly pick: <T>(options: readonly T[]) => T;
}

/** The characters. Each is always of one kind, so that a name says who it is. */
const CAST = [
  ["Tim", "fox"],
  ["Ben", "bear"],
  ["Max", "dog"],
  ["Tom", "frog"],
  ["Mia", "cat"],
  ["Lily", "rabbit"],
  ["Anna", "goat"],
  ["Ella", "mouse"],
] as const;
const BOYS = 4;
const TRAITS = ["little", "kind", "brave", "shy", "happy", "quiet", "clever", "funny"];
const COLORS = ["red", "blue", "green", "yellow"];
const TOYS = ["ball", "kite", "boat", "drum", "hat", "book", "bell", "cup"];
const FOODS = ["apple", "cake", "pear", "pie", "bun", "plum"];
const LISTED = ["milk", "bread", "honey", "salt", "eggs", "butter", "beans", "tea"];
const PLACES = ["the park", "the garden", "the river", "the hill", "the forest", "the lake"];
const WARM_TIMES = ["One day", "One morning", "One sunny day", "One afternoon", "On Sunday"];
const TIMES = [...WARM_TIMES, "One cold day"];

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
const a = (noun: string) => `${/^[aeiou]/.test(noun) ? "an" : "a"} ${noun}`;
const paragraphs = (...texts: readonly string[]) => texts.join("\n");

const opening = ({ hero, pick }: Story, trait = pick(TRAITS)) =>
  pick([
    `Once there was ${a(trait)} ${hero.kind} named ${hero.name}.`,
    `Once upon a time, there was ${a(trait)} ${hero.kind} named ${hero.name}.`,
    `There once was ${a(trait)} ${hero.kind}. ${capital(hero.his)} name was ${hero.name}.`,
    `${hero.name} was ${a(trait)} ${hero.kind}.`,
  ]);

const meeting = ({ hero, friend, pick }: Story) =>
  pick([
    `${friend.name} the ${friend.kind} came by.`,
    `Then ${hero.name} met ${hero.his} friend ${friend.name}, ${a(friend.kind)}.`,
    `Just then ${friend.name} the ${friend.kind} walked along.`,
  ]);

const thanks = ({ hero, friend, pick }: Story) =>
  pick([
    `"Thank you, ${friend.name}!" said ${hero.name}.`,
    `${hero.name} gave ${friend.name} a big hug. "Thank you!" ${hero.he} said.`,
    `"You are a good friend, ${friend.name}," said ${hero.name}.`,
  ]);

const friendship = ({ hero, friend, pick }: Story) =>
  pick([
    `From that day on, ${hero.name} and ${friend.name} were best friends.`,
    `And ${hero.name} was glad to have a friend like ${friend.name}.`,
    `And they were friends for a long, long time.`,
  ]);

/** The end of a day out. A story that ends at home or at night uses `friendship` alone. */
const goingHome = (story: Story) => {
  const { hero, friend, pick } = story;
  return pick([
    `${hero.name} and ${friend.name} were happy, and they went home together.`,
    `That night ${hero.name} slept well and had good dreams.`,
    `They played until the sun went down.`,
    `And they both smiled all the way home.`,
    friendship(story),
  ]);
};

/** A lost thing turns up in a spot that the hero had visited. */
function lost(story: Story): string {
  const { hero, friend, pick } = story;
  const [color, toy, place] = [pick(COLORS), pick(TOYS), pick(PLACES)];
  const where = pick([
    "under a tree",
    "behind a big rock",
    "in the tall grass",
    "next to the old bridge",
    "under a leaf",
  ]);
  return paragraphs(
    `${opening(story)} ${capital(hero.he)} had a ${color} ${toy} and took it everywhere.`,
    `${pick(TIMES)}, ${hero.name} went to ${place} to play. When it was time to go home, ${hero.he} could not find the ${color} ${toy}. ${hero.name} ${pick(["was very sad", "began to cry", "did not know what to do"])}.`,
    `${meeting(story)} "Why are you sad?" asked ${friend.name}. "I lost my ${toy}," said ${hero.name}. "Let us look for it together," said ${friend.name}.`,
    `They looked ${pick(["here and there", "up and down", "all around"])}. At last ${friend.name} looked ${where}. "Here is your ${color} ${toy}!" ${friend.he} said. ${thanks(story)} ${goingHome(story)}`,
  );
}

/** One friend is hungry, and the other shares. */
function share(story: Story): string {
  const { hero, friend, pick } = story;
  const [food, place] = [pick(FOODS), pick(PLACES)];
  return paragraphs(
    `${opening(story)} ${pick(TIMES)}, ${hero.name} sat by ${hero.his} house with ${a(pick(["big", "sweet", "round", "fresh"]))} ${food}.`,
    `${meeting(story)} ${friend.name} looked ${pick(["tired", "sad", "hungry"])}. "I walked all the way from ${place}, and I have had nothing to eat," said ${friend.name}.`,
    pick([
      `${hero.name} looked at the ${food}. ${capital(hero.he)} wanted to eat it all. But then ${hero.he} cut it in two. "Half for you and half for me," ${hero.he} said.`,
      `"Then we will share my ${food}," said ${hero.name}. ${capital(hero.he)} gave ${friend.name} the bigger half.`,
    ]),
    `They ate the ${food} together, and it tasted better than ever. "${pick(["Next time I will share with you", "Tomorrow I will bring something for you"])}," said ${friend.name}. ${friendship(story)}`,
  );
}

/** The weather spoils a plan, and the friends make another. */
function weather(story: Story): string {
  const { hero, friend, pick } = story;
  const [plan, change] = pick([
    [`swim in the lake`, `they jumped in the puddles`],
    [`fly a kite on the hill`, `they made a small boat and let it float down the street`],
    [`have a picnic in the park`, `they had the picnic under the table`],
    [`pick flowers in the garden`, `they drew flowers with red and yellow paint`],
  ] as const);
  return paragraphs(
    `${opening(story)} ${pick(WARM_TIMES)}, ${hero.name} wanted to ${plan} with ${friend.name} the ${friend.kind}.`,
    `But then the sky ${pick(["grew dark", "turned gray"])}, and it began to rain. It rained and rained. "Now we cannot ${plan}," said ${hero.name}. ${capital(hero.he)} was ${pick(["sad", "not happy at all"])}.`,
    `${friend.name} thought for a while. "${pick(["I know what we can do", "I have an idea", "Rain can be fun too"])}," ${friend.he} said. So ${change}. They laughed and laughed.`,
    `When the rain stopped, the sun came out. "${pick(["I am glad that it rained", "This was a good day", "That was even better"])}!" said ${hero.name}. ${goingHome(story)}`,
  );
}

/** A thing is out of reach. The first try fails, the second succeeds. */
function stuck(story: Story): string {
  const { hero, friend, pick } = story;
  const [color, toy] = [pick(COLORS), pick(["ball", "kite", "hat"])];
  const [tool, use] = pick([
    ["a long stick", "pushed"],
    ["a ladder", "climbed up and took"],
    ["a rope", "pulled"],
  ] as const);
  return paragraphs(
    `${opening(story)} ${pick(TIMES)}, ${hero.name} played with a ${color} ${toy} in ${pick(["the garden", "the park", "the forest"])}. The wind blew, and the ${toy} flew up into a tall tree.`,
    `${hero.name} jumped as high as ${hero.he} could, but the tree was too tall. ${pick([`"Oh no!" said ${hero.name}.`, `"What can I do?" said ${hero.name}.`])}`,
    `${meeting(story)} "My ${toy} is stuck in the tree," said ${hero.name}. "${pick(["I can help you", "Do not worry"])}," said ${friend.name}, and ${friend.he} ran to get ${tool}.`,
    `With ${tool}, ${friend.name} ${use} the ${toy} down. Now ${hero.name} had the ${color} ${toy} again. ${thanks(story)} ${goingHome(story)}`,
  );
}

/** The hero is afraid of something that turns out to be small. */
function afraid(story: Story): string {
  const { hero, friend, pick } = story;
  const [sound, cause] = pick([
    ["a tap, tap, tap at the window", "a branch of the old tree"],
    ["a loud bang at the door", "a door that the wind had opened"],
    ["a strange song in the garden", "a bird that could not sleep"],
    ["a soft step on the stairs", "a small mouse that was looking for cheese"],
  ] as const);
  return paragraphs(
    `${opening(story, pick(["little", "shy", "quiet"]))} ${capital(hero.he)} was afraid of the dark.`,
    `One night ${hero.name} heard ${sound}. ${capital(hero.he)} hid under the bed. "${pick(["Who is there", "What is that"])}?" ${hero.he} asked, but nobody said a word.`,
    `In the morning ${hero.name} told ${friend.name} the ${friend.kind} about it. "I will stay with you tonight," said ${friend.name}. That night they heard it again. ${friend.name} took a lamp, and they went to look together.`,
    `It was only ${cause}! ${hero.name} laughed. "${pick(["Now I am not afraid", "The dark is not so bad with a friend", "I was afraid of nothing at all"])}," ${hero.he} said. ${friendship(story)}`,
  );
}

/** The friends make something. It goes wrong for a reason, then succeeds. */
function make(story: Story): string {
  const { hero, friend, pick } = story;
  const [thing, problem, fix, result] = pick([
    ["a boat", "water came in through a hole", "put a piece of wood over the hole", "the boat went across the lake"],
    ["a cake", "it was too hard to eat", "used more milk and less flour", "the cake was soft and sweet"],
    ["a house of sticks", "the wind blew it down", "used big stones for the walls", "the house stood in the wind"],
    ["a kite", "it was too heavy to fly", "took thin paper for the kite", "the kite flew high in the sky"],
  ] as const);
  const first = `${pick(TIMES)}, ${hero.name} wanted to make ${thing}. ${capital(hero.he)} worked all day.`;
  return paragraphs(
    `${opening(story, pick(["clever", "happy", "brave"]))} ${first}`,
    `But ${problem}. "${pick(["I will never make", "I cannot make"])} ${thing}," said ${hero.name}. ${capital(hero.he)} was ready to give up.`,
    `${meeting(story)} "${pick(["Try again, and I will help you", "Nobody gets it right the first time"])}," said ${friend.name}. So they ${fix}.`,
    `This time ${result}. "We did it!" said ${hero.name}. "${pick(["It is good to try again", "Two can do more than one"])}," said ${friend.name}. ${goingHome(story)}`,
  );
}

/** The hero breaks something and tells the truth. */
function honest(story: Story): string {
  const { hero, friend, pick } = story;
  const [color, thing] = [pick(COLORS), pick(["cup", "drum", "boat", "bell"])];
  return paragraphs(
    `${opening(story)} ${pick(TIMES)}, ${hero.name} went to see ${friend.name} the ${friend.kind}. ${friend.name} had a new ${color} ${thing}.`,
    `When ${friend.name} was in the kitchen, ${hero.name} picked up the ${thing}. It fell down and broke. ${hero.name} ${pick(["wanted to run away", "wanted to hide", "felt very bad"])}.`,
    `When ${friend.name} came back, ${hero.name} said, "I broke your ${color} ${thing}. I am sorry." ${friend.name} was sad at first. Then ${friend.he} said, "${pick(["Thank you for telling me", "It is good that you told me the truth"])}. We can ${pick(["fix it", "mend it"])} together."`,
    `They ${pick(["used some glue and some paint", "worked on it all afternoon"])}, and soon the ${thing} was ${pick(["as good as new", "whole again"])}. ${friendship(story)}`,
  );
}

/** The hero has a birthday, and nobody seems to know. */
function birthday(story: Story): string {
  const { hero, friend, pick } = story;
  const [color, toy, food] = [pick(COLORS), pick(TOYS), pick(["cake", "pie"])];
  return paragraphs(
    `It was ${hero.name}'s birthday. ${hero.name} was ${a(pick(TRAITS))} ${hero.kind}, and ${hero.he} woke up early. But nobody came, and nobody sang.`,
    `${hero.name} went to see ${friend.name} the ${friend.kind}. "${pick(["I have no time today", "I am too busy to play"])}," said ${friend.name}, and ${friend.he} closed the door. ${hero.name} walked to ${pick(PLACES)} and sat there alone.`,
    `When ${hero.name} came home, the house was dark. ${capital(hero.he)} opened the door. "Surprise!" said ${friend.name}. There was a big ${food}, and there was a ${color} ${toy} for ${hero.name}.`,
    `"You did not forget!" said ${hero.name}. "${pick(["I was busy with your", "I had no time because I made your"])} ${food}," said ${friend.name}. They ate the ${food} and played with the ${color} ${toy}. ${friendship(story)}`,
  );
}

/** A seed needs time, and watching it does not help. */
function plant(story: Story): string {
  const { hero, friend, pick } = story;
  const [color, plantName] = pick([
    ["red", "a rose"],
    ["yellow", "a sunflower"],
    ["green", "a bean plant"],
    ["blue", "a bluebell"],
  ] as const);
  return paragraphs(
    `${opening(story)} ${friend.name} the ${friend.kind} gave ${hero.him} a small seed. "Put it in the ground and give it water," said ${friend.name}.`,
    `${hero.name} put the seed in the ground. The next day ${hero.he} went to look, but there was nothing to see. ${pick([`"It does not work," said ${hero.name}.`, `"Maybe it is a bad seed," said ${hero.name}.`])}`,
    `"${pick(["Good things take time", "You have to wait", "Give it a little more time"])}," said ${friend.name}. So ${hero.name} gave the seed water every morning, and waited.`,
    `${pick(["After many days", "When spring came", "At last"])} something ${color} came out of the ground. It grew and grew, and it was ${plantName}. "${pick(["Now I know how to wait", "It was only sleeping", "You were right"])}!" said ${hero.name}. ${friendship(story)}`,
  );
}

/** The fast runner rests, the slow one does not. */
function race(story: Story): string {
  const { hero, friend, pick } = story;
  const goal = pick(["the old bridge", "the big rock", "the tall tree", "the end of the road"]);
  return paragraphs(
    `${hero.name} the ${hero.kind} was fast, and ${hero.he} told everybody about it. ${friend.name} the ${friend.kind} was slow. ${pick(TIMES)}, ${hero.name} said, "Let us run to ${goal}!"`,
    `One, two, three, go! ${hero.name} ran so fast that ${friend.name} was soon far behind. "I have a lot of time," said ${hero.name}, and ${hero.he} ${pick(["lay down under a tree and fell asleep", "stopped to eat some plums and fell asleep"])}.`,
    `But ${friend.name} did not stop. ${capital(friend.he)} went on, step by step. When ${hero.name} woke up, ${friend.name} was already at ${goal}.`,
    `"${pick(["You won", "You are faster than I am"])}!" said ${hero.name}. "No, I am slow," said ${friend.name}, "but I did not ${pick(["stop", "fall asleep"])}." ${pick([`They both laughed.`, `${hero.name} never made fun of slow friends again.`])} ${goingHome(story)}`,
  );
}

/** A lonely newcomer is invited to join. */
function newcomer(story: Story): string {
  const { hero, friend, pick } = story;
  const [place, game] = [pick(PLACES), pick(["hide and seek", "a game with a ball", "a game of tag"])];
  return paragraphs(
    `${opening({ ...story, hero: friend }, pick(["shy", "quiet", "little"]))} ${capital(friend.he)} was new in town and did not know anybody.`,
    `${pick(TIMES)}, ${friend.name} stood near ${place} and looked at the others. They played ${game}. ${friend.name} wanted to play too, but ${friend.he} did not dare to ask.`,
    `${hero.name} the ${hero.kind} saw ${friend.him}. ${capital(hero.he)} ran over and said, "${pick(["Hello! Do you want to play with us", "We need one more. Will you play with us"])}?" "${pick(["Yes, please", "I would love to"])}!" said ${friend.name}.`,
    `They played ${game} all day. "${pick(["I was new once too", "Now you know all of us"])}," said ${hero.name}. ${goingHome(story)}`,
  );
}

/** The friends take a lost baby home. */
function rescue(story: Story): string {
  const { hero, friend, pick } = story;
  const [baby, home] = pick([
    ["duckling", "the lake"],
    ["kitten", "the farm"],
    ["puppy", "the mill"],
    ["baby bird", "the nest in the old tree"],
  ] as const);
  return paragraphs(
    `${opening(story, pick(["kind", "brave", "clever"]))} ${pick(TIMES)}, ${hero.name} walked home with ${friend.name} the ${friend.kind}. By the road they found a little ${baby}. It was all alone, and it was cold.`,
    `"Where is your mother?" asked ${hero.name}. "${pick(["I do not know", "I went too far, and now I cannot find her"])}," said the ${baby}. "${pick(["Do not cry", "Do not be afraid"])}," said ${friend.name}. "We will take you home."`,
    `${pick([`${hero.name} put the ${baby} in ${hero.his} hat to keep it warm.`, `${friend.name} put a warm scarf around the ${baby}.`])} They asked everybody on the way, and they walked until they came to ${home}.`,
    `There was the mother, looking for her ${baby}! "${pick(["Thank you both", "You brought my little one back"])}!" she said. ${goingHome(story)}`,
  );
}

/** The same sentence with two names in either order; the one who does not give is the one who receives. */
function gift(story: Story): string {
  const { hero, friend, pick } = story;
  const [color, toy, place] = [pick(COLORS), pick(TOYS), pick(PLACES)];
  const both = pick([`${hero.name} and ${friend.name}`, `${friend.name} and ${hero.name}`]);
  return paragraphs(
    `${opening(story)} ${friend.name} the ${friend.kind} was ${hero.his} best friend.`,
    `${pick(TIMES)}, ${both} went to ${place}. ${hero.name} had a ${color} ${toy}. ${hero.name} gave the ${toy} to ${friend.name}. "${pick(["This is for you", "You can keep it"])}," said ${hero.name}.`,
    `${friend.name} was so happy that ${friend.he} ${pick(["danced", "jumped up and down", "sang a song"])}. "A ${color} ${toy}! Thank you, ${hero.name}!" said ${friend.name}.`,
    `The next day, ${both} sat by the fire. ${friend.name} had ${pick(["a warm scarf", "a pot of honey", "a basket of nuts"])}. ${friend.name} gave it to ${hero.name}. ${friendship(story)}`,
  );
}

/** A list is heard, repeated on the way, and said again at the end. */
function market(story: Story): string {
  const { hero, friend, pick } = story;
  const things: string[] = [];
  while (things.length < 3) {
    const thing = pick(LISTED);
    if (!things.includes(thing)) things.push(thing);
  }
  const list = things.join(", ");
  const [first, second, third] = things;
  return paragraphs(
    `${opening(story)} ${pick(TIMES)}, ${hero.his} mother said, "Please go to the market and get ${first}, ${second} and ${third}."`,
    `${hero.name} did not want to forget it. "${capital(list)}, ${list}," ${hero.he} said again and again on the way.`,
    `${meeting(story)} "What are you saying?" asked ${friend.name}. "${capital(list)}," said ${hero.name}. "My mother needs it." So ${friend.name} said it too: "${capital(list)}!"`,
    `At the market, ${hero.name} said, "I would like ${first}, ${second} and ${third}, please." ${capital(hero.his)} mother was ${pick(["proud", "glad"])}. "You got the ${first}, the ${second} and the ${third}!" she said. ${friendship(story)}`,
  );
}

/** A secret word opens a door twice. */
function secret(story: Story): string {
  const { hero, friend, pick } = story;
  const [color, toy, kind] = [pick(COLORS), pick(TOYS), pick(CAST)[1]];
  const word = `${color} ${kind} ${toy}`;
  return paragraphs(
    `${opening(story)} ${capital(hero.he)} had a little house in a tree, and its door opened only for the secret words.`,
    `${friend.name} the ${friend.kind} knocked at the door. "What are the secret words?" asked ${hero.name}. "I do not know," said ${friend.name}. "They are ${word}," said ${hero.name}. "Do not tell anybody!"`,
    `The next day it rained, and ${friend.name} ran to the little house. ${capital(friend.he)} was wet and cold. ${capital(friend.he)} knocked and said, "${capital(word)}!"`,
    `The door opened at once. "You did not forget the secret words!" said ${hero.name}. "${capital(word)}," said ${friend.name}, and they laughed. ${friendship(story)}`,
  );
}

/** A thing is moved while its owner is away, so that the owner looks in the wrong box. */
function moved(story: Story): string {
  const { hero, friend, pick } = story;
  const [color, toy] = [pick(COLORS), pick(TOYS)];
  const spots = ["the box", "the basket", "the bag", "the drawer"];
  const from = pick(spots);
  const to = pick(spots.filter((spot) => spot !== from));
  return paragraphs(
    `${opening(story)} ${capital(hero.he)} had a ${color} ${toy}. ${pick(TIMES)}, ${hero.name} put the ${toy} in ${from} and went out to play.`,
    `While ${hero.name} was away, ${friend.name} the ${friend.kind} took the ${toy} out of ${from} and put it in ${to}.`,
    `When ${hero.name} came back, ${hero.he} looked in ${from}, but the ${toy} was not there. "Where is my ${color} ${toy}?" asked ${hero.name}. "It is in ${to}," said ${friend.name}. "I am sorry. I wanted to ${pick(["clean up", "help you"])}."`,
    `${hero.name} opened ${to}, and there was the ${color} ${toy}. "${pick(["Next time, please ask me", "Please tell me next time"])}," said ${hero.name}. Then they played with the ${toy} together. ${goingHome(story)}`,
  );
}

/** A feeling with a cause, and help that follows from it. */
function feeling(story: Story): string {
  const { hero, friend, pick } = story;
  const [trouble, feels, help, after] = pick([
    ["did not sleep all night", "tired", "made a soft bed of leaves", "slept until the evening"],
    ["lost a mitten in the snow", "cold", "lit a fire", "sat by the fire until it was warm again"],
    ["walked a long way in the sun", "thirsty", "brought a cup of water", "drank all the water"],
    ["had no breakfast", "hungry", "made a bowl of soup", "ate all the soup"],
    ["stepped on a sharp stone", "hurt", "put a leaf around the sore foot", "could walk again"],
    ["fell into the pond", "wet", "brought a dry towel", "was soon dry again"],
  ] as const);
  return paragraphs(
    `${opening(story)} ${pick(TIMES)}, ${hero.name} ${trouble}. Now ${hero.he} was ${feels}.`,
    `${meeting(story)} "You look ${feels}. What is wrong?" asked ${friend.name}. "I am ${feels} because I ${trouble}," said ${hero.name}.`,
    `${friend.name} knew what to do. ${capital(friend.he)} ${help} for ${hero.name}, and ${hero.name} ${after}.`,
    `"I am not ${feels} anymore!" said ${hero.name}. "${pick(["What would I do without you", "How did you know what to do"])}, ${friend.name}?" ${friendship(story)}`,
  );
}

const PLOTS = [
  lost,
  share,
  weather,
  stuck,
  afraid,
  make,
  honest,
  birthday,
  plant,
  race,
  newcomer,
  rescue,
  gift,
  market,
  secret,
  moved,
  feeling,
] as const;

/** The whole text, the same for the same seed and length. */
export function makeStories(seed: number = SEED, length: number = LENGTH): string {
  const rng = random(seed, "stories");
  const seen = new Set<string>();
  for (let written = 0; written < length; ) {
    const story = tell(rng);
    if (seen.has(story)) continue;
    seen.add(story);
    written += story.length + 2;
  }
  return `${[...seen].join("\n\n")}\n`;
}

function tell(rng: Random): string {
  const pick = <T>(options: readonly T[]): T => options[rng.below(options.length)] as T;
  const somebody = (): Friend => {
    const index = rng.below(CAST.length);
    const [name, kind] = CAST[index] as (typeof CAST)[number];
    const pronouns =
      index < BOYS ? ({ he: "he", his: "his", him: "him" } as const) : ({ he: "she", his: "her", him: "her" } as const);
    return { name, kind, ...pronouns };
  };
  const hero = somebody();
  let friend = somebody();
  while (friend.name === hero.name || friend.kind === hero.kind) friend = somebody();
  return pick(PLOTS)({ hero, friend, pick });
}

runAsScript(import.meta.url, () => writeFile(inRoot("samples/stories.txt"), makeStories()));
