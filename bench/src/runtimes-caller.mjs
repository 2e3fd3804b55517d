/**
 * A program that an agent runs: it calls another agent by the door that its environment names, and that
 * agent's peer itself, in turns, and writes how long each took.
 */
import { json } from 'node:stream/consumers';

const [peer] = process.argv.slice(2);
const { times, payload } = await json(process.stdin);
const door = `${process.env.CENTURIA_ATTEMPT_CALLS_URL}/agents/http`;
const headers = { 'content-type': 'application/json' };
const withToken = {
  ...headers,
  authorization: `Bearer ${process.env.CENTURIA_ATTEMPT_CALLS_TOKEN}`,
};

async function timed(url, given, body, outputOf) {
  const begunMs = performance.now();
  const response = await fetch(url, { method: 'POST', headers: given, body: JSON.stringify(body) });
  const answer = await response.json();
  const tookMs = performance.now() - begunMs;
  const text = JSON.stringify(outputOf(answer));
  if (text !== JSON.stringify(payload)) throw new Error(`${url}: ${JSON.stringify(answer)}`);
  return tookMs;
}

const delegated = [];
const direct = [];
for (let turn = 0; turn < times; turn += 1) {
  delegated.push(await timed(door, withToken, { input: payload }, ({ output }) => output));
  direct.push(await timed(peer, headers, payload, (answer) => answer));
}
process.stdout.write(JSON.stringify({ delegated, direct }));
