// Reads {tree, text, answer} and holds every match of the answer against the file that it names: the file is there,
// it has the line, and the line holds the text. Says {ok, checked}, and the reason why not.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const { tree, text: wanted, answer } = JSON.parse(await text(process.stdin));
const needle = wanted.toLowerCase();
const files = new Map();

function linesOf(file) {
  if (!files.has(file)) {
    let lines;
    try {
      lines = readFileSync(join(tree, file), 'utf8').split('\n');
    } catch {
      lines = undefined;
    }
    files.set(file, lines);
  }
  return files.get(file);
}

function problemOf({ file, line }) {
  const lines = linesOf(file);
  if (lines === undefined) return `${file} can not be read`;
  const found = lines[line - 1];
  if (found === undefined) return `${file} has ${lines.length} lines, not ${line}`;
  return found.toLowerCase().includes(needle)
    ? undefined
    : `${file}:${line} does not hold the text`;
}

const wrong = answer.map(problemOf).filter((problem) => problem !== undefined);
const said = wrong.length === 0 ? {} : { reason: `${wrong.length} wrong, such as: ${wrong[0]}` };
process.stdout.write(JSON.stringify({ ok: wrong.length === 0, checked: answer.length, ...said }));
