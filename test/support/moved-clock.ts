/**
 * Preloaded into a worker (`node --import`): a `Date` that the parent process moves while the worker
 * runs, as a wrong time server or a hand would. The monotonic clock stays, as it does on a machine.
 */
const systemNow = Date.now;
let movedMs = Number(process.env['CLOCK_MOVED_MS'] ?? 0);

class MovedDate extends Date {
  constructor(...values: readonly unknown[]) {
    if (values.length === 0) super(systemNow() + movedMs);
    else super(...(values as [number]));
  }

  static override now(): number {
    return systemNow() + movedMs;
  }
}

globalThis.Date = MovedDate as DateConstructor;
process.on('message', (message: unknown) => {
  if (typeof message === 'object' && message !== null && 'clockMovedMs' in message) {
    movedMs = Number(message.clockMovedMs);
  }
});
// Only a parent that is waited for keeps a process; this listener must not.
process.channel?.unref();
