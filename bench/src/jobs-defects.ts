/**
 * Forty defects, each in a small module of its own, and beside each the same module as it should be. The
 * line of the defect ends in `//!`, which is not written; where two lines contradict each other both do,
 * and either is right. Some are plain, some hard to see, and some of the right ones look wrong: what a
 * defect is was decided here, by what the code does, and not by a linter.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a linter names. */
export interface Found {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
}

export interface Defect {
  readonly file: string;
  readonly lines: readonly number[];
  readonly rule: string;
}

interface Case {
  readonly rule: string;
  readonly wrong: string;
  readonly right: string;
}

const mark = ' //!';

const cases: readonly Case[] = [
  {
    rule: 'no-unused-vars',
    wrong: `export function area(width, height) {
  const edge = 2 * (width + height); //!
  return width * height;
}`,
    right: `export function area(width, height) {
  const edge = 2 * (width + height);
  return { edge, area: width * height };
}`,
  },
  {
    rule: 'no-unused-vars',
    wrong: `export function count(list) {
  let total = 0; //!
  for (const item of list) total = total + item;
  return list.length;
}`,
    right: `export function count(list) {
  let total = 0;
  for (const item of list) total = total + item;
  return total;
}`,
  },
  {
    rule: 'no-unused-vars',
    wrong: `import { join } from 'node:path'; //!
export const under = (folder, name) => folder + '/' + name;`,
    right: `import { join } from 'node:path';
export const under = (folder, name) => join(folder, name);`,
  },
  {
    // In the right one `secret` is named so that the rest lacks it: that is its use.
    rule: 'no-unused-vars',
    wrong: `export function publicPart(user) {
  const { id, secret } = user; //!
  return { id };
}`,
    right: `export function publicPart(user) {
  const { secret, ...rest } = user;
  return rest;
}`,
  },
  {
    rule: 'no-unused-vars',
    wrong: `export function onEach(list, done) { //!
  for (const item of list) item.close();
}`,
    right: `export function onEach(list, done) {
  for (const item of list) item.close();
  done();
}`,
  },
  {
    rule: 'no-debugger',
    wrong: `export function load(text) {
  debugger; //!
  return JSON.parse(text);
}`,
    right: `export function load(text) {
  return JSON.parse(text);
}`,
  },
  {
    rule: 'eqeqeq',
    wrong: `export const isEmpty = (value) => value == 0; //!`,
    right: `export const isEmpty = (value) => value === 0;`,
  },
  {
    // The right one asks for null or undefined, and for that == is the plain way.
    rule: 'eqeqeq',
    wrong: `export function same(left, right) {
  return left.id != right.id; //!
}`,
    right: `export function given(value) {
  return value != null;
}`,
  },
  {
    rule: 'eqeqeq',
    wrong: `export const isText = (value) => typeof value == kind(value); //!
const kind = (value) => (value ? 'string' : 'undefined');`,
    right: `export const isText = (value) => typeof value === kind(value);
const kind = (value) => (value ? 'string' : 'undefined');`,
  },
  {
    rule: 'no-dupe-keys',
    wrong: `export const limits = { least: 1, most: 10, least: 2 }; //!`,
    right: `export const limits = { least: 1, most: 10, usual: 2 };`,
  },
  {
    rule: 'no-dupe-keys',
    wrong: `export const codes = {
  1: 'one', //!
  '0x1': 'text',
  0x1: 'again', //!
};`,
    right: `export const codes = {
  1: 'one',
  '0x1': 'text',
  0x2: 'again',
};`,
  },
  {
    rule: 'no-unreachable',
    wrong: `export function first(list) {
  return list[0];
  list.length = 0; //!
}`,
    right: `export function first(list) {
  return pick(list);
  function pick(all) {
    return all[0];
  }
}`,
  },
  {
    rule: 'no-unreachable',
    wrong: `export function poll(look) {
  for (;;) {
    if (look()) continue;
  }
  return 'never'; //!
}`,
    right: `export function poll(look) {
  for (;;) {
    if (look()) break;
  }
  return 'seen';
}`,
  },
  {
    rule: 'no-unreachable',
    wrong: `export function pick(kind) {
  switch (kind) {
    case 'a': {
      throw new Error('a');
    }
    default:
      return 1;
  }
  return 2; //!
}`,
    right: `export function pick(kind) {
  switch (kind) {
    case 'a': {
      throw new Error('a');
    }
    case 'b':
      return 1;
  }
  return 2;
}`,
  },
  {
    rule: 'no-self-compare',
    wrong: `export const inOrder = (left, right) => left.at <= left.at && right.at > 0; //!`,
    right: `export const inOrder = (left, right) => left.at <= right.at && right.at > 0;`,
  },
  {
    rule: 'no-self-compare',
    wrong: `export const isLast = (list, at) => list[at + 1] === list[at + 1]; //!`,
    right: `export const isLast = (list, at) => list[at + 1] === list[at + 2];`,
  },
  {
    rule: 'no-self-assign',
    wrong: `export function move(point, x) {
  point.x = point.x; //!
  return point.x + x;
}`,
    right: `export function move(point, x) {
  point.x = point.y;
  return point.x + x;
}`,
  },
  {
    rule: 'no-self-assign',
    wrong: `export function swap(left, right) {
  [left, right] = [left, right]; //!
  return [left, right];
}`,
    right: `export function swap(left, right) {
  [left, right] = [right, left];
  return [left, right];
}`,
  },
  {
    rule: 'use-isnan',
    wrong: `export const isWrong = (value) => value === NaN; //!`,
    right: `export const isWrong = (value) => Object.is(value, NaN);`,
  },
  {
    rule: 'use-isnan',
    wrong: `export const hasWrong = (list) => list.indexOf(Number.NaN) >= 0; //!`,
    right: `export const hasWrong = (list) => list.includes(Number.NaN);`,
  },
  {
    rule: 'use-isnan',
    wrong: `export function name(value) {
  switch (value) {
    case NaN: //!
      return 'none';
    default:
      return 'some';
  }
}`,
    right: `export function name(value) {
  if (Number.isNaN(value)) return 'none';
  return 'some';
}`,
  },
  {
    rule: 'valid-typeof',
    wrong: `export const isNothing = (value) => typeof value === 'undefinded'; //!`,
    right: `export const isNothing = (value) => typeof value === 'undefined';`,
  },
  {
    rule: 'no-sparse-arrays',
    wrong: `export const steps = [1, , 3]; //!`,
    right: `export const steps = [1, 2, 3];
export const [one, , three] = steps;`,
  },
  {
    rule: 'no-unsafe-finally',
    wrong: `export function read(file) {
  try {
    return file.text();
  } finally {
    if (file.isOpen) return null; //!
  }
}`,
    right: `export function read(file) {
  try {
    return file.text();
  } finally {
    file.close(() => {
      return null;
    });
  }
}`,
  },
  {
    rule: 'no-duplicate-case',
    wrong: `export function weight(kind) {
  switch (kind) {
    case 'a': //!
      return 1;
    case 'b':
      return 2;
    case 'a': //!
      return 3;
    default:
      return 0;
  }
}`,
    right: `export function weight(kind) {
  switch (kind) {
    case 'a':
      return 1;
    case 'b':
      return 2;
    case 'c':
      return 3;
    default:
      return 0;
  }
}`,
  },
  {
    rule: 'no-dupe-else-if',
    wrong: `export function size(value) {
  if (value > 10 || value < 0) return 'far'; //!
  else if (value > 10) return 'large'; //!
  return 'small';
}`,
    right: `export function size(value) {
  if (value > 10 || value < 0) return 'far';
  else if (value > 5) return 'large';
  return 'small';
}`,
  },
  {
    rule: 'no-fallthrough',
    wrong: `export function colour(level) {
  let name = 'grey';
  switch (level) {
    case 'warn': //!
      name = 'yellow';
    case 'error': //!
      name = 'red';
      break;
    default:
  }
  return name;
}`,
    right: `export function colour(level) {
  let name = 'grey';
  switch (level) {
    case 'warn':
      name = name + '?';
    // falls through
    case 'error':
      name = name + '!';
      break;
    default:
  }
  return name;
}`,
  },
  {
    rule: 'no-const-assign',
    wrong: `const limit = 10; //!
export function raise() {
  limit += 1; //!
  return limit;
}`,
    right: `const limit = { value: 10 };
export function raise() {
  limit.value += 1;
  return limit;
}`,
  },
  {
    rule: 'no-func-assign',
    wrong: `export function log(text) { //!
  return text;
}
log = null; //!`,
    right: `export let log = (text) => {
  return text;
};
log = null;`,
  },
  {
    rule: 'no-unsafe-negation',
    wrong: `export const lacks = (key, map) => !key in map; //!`,
    right: `export const lacks = (key, map) => !(key in map);`,
  },
  {
    rule: 'no-empty-pattern',
    wrong: `export function options({ retries: {} }) { //!
  return 3;
}`,
    right: `export function options({ retries = {} }) {
  return retries;
}`,
  },
  {
    rule: 'no-loss-of-precision',
    wrong: `export const most = 9007199254740993; //!`,
    right: `export const most = 9007199254740992;`,
  },
  {
    rule: 'no-async-promise-executor',
    wrong: `export const later = (work) =>
  new Promise(async (resolve) => { //!
    resolve(await work());
  });`,
    right: `export const later = (work) =>
  new Promise((resolve) => {
    resolve(work());
  });`,
  },
  {
    rule: 'getter-return',
    wrong: `export const clock = {
  get now() { //!
    Date.now();
  },
};`,
    right: `export const clock = {
  get now() {
    throw new Error('there is no clock');
  },
};`,
  },
  {
    rule: 'require-yield',
    wrong: `export function* numbers(list) { //!
  return list.length;
}`,
    right: `export function* numbers(list) {
  yield* list;
}`,
  },
  {
    rule: 'no-undef',
    wrong: `export function total(list) {
  return list.reduce((sum, item) => sum + itm.price * item.count, 0); //!
}`,
    right: `export function total(list) {
  return list.reduce((sum, item) => sum + item.price, typeof tax === 'undefined' ? 0 : 1);
}`,
  },
  {
    rule: 'array-callback-return',
    wrong: `export const names = (list) =>
  list.map((item) => { //!
    item.name.trim();
  });`,
    right: `export const names = (list) =>
  list.map((item) => {
    return item.name.trim();
  });
export const close = (list) => list.forEach((item) => item.close());`,
  },
  {
    rule: 'no-cond-assign',
    wrong: `export function isReady(state) {
  if (state.ready = state.seen) return 'yes'; //!
  return 'no';
}`,
    right: `export function words(text) {
  const pattern = /[a-z]+/g;
  const found = [];
  let match;
  while ((match = pattern.exec(text)) !== null) found.push(match[0]);
  return found;
}`,
  },
  {
    rule: 'no-dupe-class-members',
    wrong: `export class Door {
  open() { //!
    return 1;
  }
  open() { //!
    return 2;
  }
}`,
    right: `export class Door {
  static open() {
    return 1;
  }
  open() {
    return 2;
  }
}`,
  },
  {
    rule: 'no-constant-condition',
    wrong: `export function check(value) {
  if (value || true) return 'always'; //!
  return 'never';
}`,
    right: `export function check(next) {
  while (true) {
    if (next()) return 'once';
  }
}`,
  },
];

export interface DefectRepository {
  readonly truth: readonly Defect[];
  readonly cleanFiles: number;
}

/** Writes the modules into a new git repository and says which lines are wrong. The same at every call. */
export function writeDefects(folder: string): DefectRepository {
  const truth: Defect[] = [];
  for (const [index, { rule, wrong, right }] of cases.entries()) {
    const name = `${String(index + 1).padStart(2, '0')}-${rule}.js`;
    const texts = wrong.split('\n');
    const lines = texts.flatMap((text, at) => (text.endsWith(mark) ? [at + 1] : []));
    if (lines.length === 0) throw new Error(`case ${name} does not say where its defect is`);
    const file = `src/wrong/${name}`;
    truth.push({ file, lines, rule });
    write(folder, file, wrong.replaceAll(mark, ''));
    write(folder, `src/right/${name}`, right);
  }
  write(folder, 'package.json', '{ "name": "seeded", "private": true, "type": "module" }');
  execFileSync('git', ['init', '--quiet', '--initial-branch=main', folder]);
  return { truth, cleanFiles: cases.length };
}

function write(folder: string, file: string, text: string): void {
  const path = join(folder, file);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `${text}\n`);
}
