/** Taking a port, with a refusal that says who has it, and giving it back within a bound of time. */
import { isIP } from 'node:net';
import {
  AppError,
  flagName,
  toAppError,
  type Clock,
  type Log,
  type SettingName,
} from '../base/base.ts';
import type { Http } from './http.ts';
import { portHolder } from './port-holder.ts';

export interface Place {
  readonly host: string;
  readonly port: number;
  /** What the port is set by. */
  readonly setting: SettingName;
}

/** Throws `port_in_use`, `denied` for a port of the system, `config_invalid` for an address that is not this machine's. */
export async function listen(app: Http, place: Place): Promise<void> {
  try {
    await app.listen({ host: place.host, port: place.port });
  } catch (thrown) {
    await app.close();
    throw await listenError(thrown, place);
  }
}

async function listenError(thrown: unknown, { host, port, setting }: Place): Promise<AppError> {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  const flag = flagName(setting);
  if (code === 'EADDRINUSE') {
    const holder = await portHolder(port);
    const by = holder === undefined ? '' : ` by ${holder.command} (process ${holder.pid})`;
    return new AppError('port_in_use', `port ${port} is taken${by}`, {
      cause: thrown,
      details: { port, ...(holder === undefined ? {} : { ...holder }) },
      remedy: `Stop that process, or choose another port with ${flag}; 0 takes a free one.`,
    });
  }
  if (code === 'EACCES') {
    return new AppError('denied', `port ${port} needs rights that this process has not`, {
      cause: thrown,
      remedy: `Choose a port from 1024 on with ${flag}.`,
    });
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    const kind = isIP(host) === 0 ? 'name' : 'address';
    return new AppError('config_invalid', `bridgeHost ${host} is no ${kind} of this machine`, {
      cause: thrown,
      remedy: 'Use 127.0.0.1, or 0.0.0.0 to listen on every address.',
    });
  }
  return toAppError(thrown);
}

export interface Closing {
  readonly graceMs: number;
  /** Ends the wait. */
  readonly hurry: AbortSignal | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** Aborts `closing`, lets requests finish within the grace, and cuts those that did not. */
export async function closeWithin(
  app: Http,
  closing: AbortController,
  { graceMs, hurry, clock, log }: Closing,
): Promise<void> {
  closing.abort(new AppError('unavailable', 'the server closes'));
  const finished = new AbortController();
  let isFinished = false;
  const closed = app.close().finally(() => {
    isFinished = true;
    finished.abort();
  });
  const enough = hurry === undefined ? finished.signal : AbortSignal.any([finished.signal, hurry]);
  // It rejects when everything has finished or somebody hurries: both end the wait.
  await clock.sleep(graceMs, enough).catch(() => undefined);
  if (!isFinished) {
    log.warn({ graceMs }, 'requests did not finish in time and are cut');
    app.server.closeAllConnections();
  }
  await closed;
}
