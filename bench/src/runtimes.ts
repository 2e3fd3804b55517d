/**
 * What each runtime adds to calling its peer directly: the same peer, the same payload, in turns in one
 * call. `overhead` is the difference of the two medians; the registry's `invoke` checks the input, finds
 * secrets, runs the agent, checks the answer and counts.
 */
import { join } from 'node:path';
import type { Measured, MeasureOptions } from './report.ts';
import { a2aClient, aiSdk, fetching, mcpClient, spawning, type Direct } from './runtimes-direct.ts';
import { measurePair, unavailable } from './runtimes-pairs.ts';
import { payload } from './runtimes-payload.ts';
import { measureDelegation, measureRuns } from './runtimes-runs.ts';
import { scriptArguments, withSetting, type Setting } from './runtimes-setup.ts';

const defaultTimes = 300;
/** Processes take a hundred times as long as calls. */
const defaultProcessTimes = 100;
const everything = join(import.meta.dirname, '../../node_modules/.bin/mcp-server-everything');

interface Kind {
  readonly agent: string;
  readonly name: string;
  readonly expected: unknown;
  readonly times: number;
  open(): Direct | Promise<Direct>;
}

export async function measure({ repeats, progress }: MeasureOptions): Promise<Measured[]> {
  return withSetting(async (setting) => {
    const measured: Measured[] = [];
    for (const kind of kindsOf(setting, repeats)) {
      progress(`${kind.name}, ${kind.times} times`);
      measured.push(...(await measureKind(setting, kind)));
    }
    progress('claude-code');
    measured.push(claudeCode(setting));
    const runs = await setting.startRuns();
    progress('durable runs');
    measured.push(...(await measureRuns(setting, runs, repeats ?? defaultTimes)));
    progress('delegated calls');
    measured.push(...(await measureDelegation(setting, runs, repeats ?? defaultTimes)));
    return measured;
  });
}

function kindsOf({ addresses }: Setting, repeats: number | undefined): Kind[] {
  const processes = { expected: payload, times: repeats ?? defaultProcessTimes };
  const calls = { times: repeats ?? defaultTimes };
  const echoed = { ...calls, expected: `Echo: ${payload.message}` };
  const stdio = { command: everything };
  const http = { url: addresses.mcp };
  return [
    { agent: 'cat', name: 'command_cat', ...processes, open: () => spawning('cat', []) },
    {
      agent: 'script',
      name: 'command_node',
      ...processes,
      open: () => spawning(process.execPath, scriptArguments),
    },
    {
      agent: 'http',
      name: 'http',
      ...calls,
      expected: payload,
      open: () => fetching(addresses),
    },
    { agent: 'mcp-stdio', name: 'mcp_stdio', ...echoed, open: () => mcpClient(stdio, false) },
    { agent: 'mcp-stdio', name: 'mcp_stdio_listed', ...echoed, open: () => mcpClient(stdio, true) },
    { agent: 'mcp-http', name: 'mcp_http', ...echoed, open: () => mcpClient(http, false) },
    { agent: 'mcp-http', name: 'mcp_http_listed', ...echoed, open: () => mcpClient(http, true) },
    { agent: 'a2a', name: 'a2a', ...calls, expected: payload, open: () => a2aClient(addresses) },
    {
      agent: 'model',
      name: 'model',
      ...calls,
      expected: 'All is well.',
      open: () => aiSdk(addresses),
    },
  ];
}

async function measureKind(setting: Setting, kind: Kind): Promise<Measured[]> {
  const { registry, invoke } = setting;
  const { name, agent, expected, times } = kind;
  const status = registry.status(agent);
  if (status?.state !== 'active') {
    return [unavailable(name, 'the peer itself', status?.reason ?? 'no such agent')];
  }
  const direct = await kind.open();
  return measurePair({ name, expected, times, ours: () => invoke(agent), direct });
}

/** Nothing to measure until it can be run here; its state says why. */
function claudeCode({ registry }: Setting): Measured {
  const { reason = 'its figures need a provider that is not local' } =
    registry.status('claude') ?? {};
  return unavailable('claude_code', 'claude', reason);
}
