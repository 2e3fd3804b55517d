/** Logs of one evening with an incident in it, of which every part is known. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const start = Date.UTC(2026, 9, 10, 18, 0, 0);
const second = 1_000;
const minute = 60 * second;

/** When what happened, as `toISOString` without the fraction. */
export const incident = {
  reload: iso(80 * minute),
  refused: iso(82 * minute),
  lastHeartbeat: iso(75 * minute),
  silentFrom: iso(39 * minute + 55 * second),
  silentTo: iso(50 * minute),
};

function iso(afterMs: number): string {
  return new Date(start + afterMs).toISOString().replace('.000Z', 'Z');
}

/**
 * `shop.jsonl`: two hours, a request every 5 s; a heartbeat every 30 s that stops; silence of ten
 * minutes; a reload; two minutes later refused connections and timeouts of the same requests.
 */
function shop(): string[] {
  const lines: string[] = [];
  const say = (afterMs: number, level: string, msg: string, more: object = {}) =>
    lines.push(JSON.stringify({ time: iso(afterMs), level, msg, ...more }));
  for (let at = 0; at < 120 * minute; at += 5 * second) {
    const number = at / (5 * second);
    if (at > 40 * minute - second && at < 50 * minute) continue;
    const request = { requestId: `req-${100_000 + number}` };
    say(
      at,
      'info',
      `order ${number} placed by customer ${number * 7} in ${10 + (number % 9)} ms`,
      request,
    );
    if (number % 6 === 0 && at <= 75 * minute)
      say(at, 'info', `queue has ${number % 4} waiting jobs`);
    if (at === 80 * minute)
      say(at, 'info', 'configuration reloaded from /etc/shop.toml, password=hunter2secret');
    if (at >= 82 * minute && at < 86 * minute) {
      say(at, 'error', `connect ECONNREFUSED 10.0.0.${number % 5}:5432`, request);
      say(at, 'error', `request timed out after ${3000 + number} ms`, request);
    }
    // Now and then one of a kind that means nothing here.
    if (number % 300 === 7) say(at, 'warn', `slow query took ${number} ms`);
  }
  return lines;
}

/** `access.log`: a web server before it, with five hundreds in the same four minutes. */
function access(): string[] {
  const lines: string[] = [];
  for (let at = 0; at < 120 * minute; at += 4 * second) {
    const failing = at >= 82 * minute && at < 86 * minute;
    const time = new Date(start + at);
    const clock = time.toISOString().slice(11, 19);
    const number = at / (4 * second);
    lines.push(
      `192.0.2.${number % 200} - - [10/Oct/2026:${clock} +0000] "POST /orders/${number}?a=1 HTTP/1.1" ${failing ? 502 : 201} 512 "-" "client"`,
    );
  }
  return lines;
}

function stamp(afterMs: number): string {
  return iso(afterMs).replace('T', ' ').replace('Z', '.120 UTC');
}

/** The database: a full disk, what it said further, and its restart. */
function database(): string[] {
  const lines: string[] = [];
  for (let minutes = 0; minutes < 81; minutes += 5)
    lines.push(
      `${stamp(minutes * minute)} [77] LOG:  checkpoint complete: wrote ${minutes * 3} buffers`,
    );
  lines.push(
    `${stamp(81 * minute)} [81] shop@shop ERROR:  could not extend file "base/16384/2662": No space left on device`,
    `${stamp(81 * minute)} [81] shop@shop HINT:  Check free disk space.`,
    `${stamp(81 * minute)} [81] shop@shop STATEMENT:  insert into orders values (1)`,
    `${stamp(81.5 * minute)} [1] PANIC:  could not write to file "pg_wal/xlogtemp.81": No space left on device`,
    `${stamp(86 * minute)} [1] LOG:  database system was not properly shut down; automatic recovery in progress`,
    `${stamp(86.1 * minute)} [1] LOG:  database system is ready to accept connections`,
  );
  return lines;
}

/** Writes the logs into a folder; the database's is compressed. */
export function writeIncident(folder: string): void {
  mkdirSync(join(folder, 'web'), { recursive: true });
  writeFileSync(join(folder, 'shop.jsonl'), `${shop().join('\n')}\n`);
  writeFileSync(join(folder, 'web/access.log'), `${access().join('\n')}\n`);
  writeFileSync(join(folder, 'postgresql.log.1.gz'), gzipSync(`${database().join('\n')}\n`));
  writeFileSync(join(folder, 'notes.txt'), 'ERROR: this is no log\n');
}
