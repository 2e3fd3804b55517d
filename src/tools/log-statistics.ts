/** What is kept of a log while it streams by: bounded, however long it is. */
import { copied, Drain, type Template } from './drain.ts';
import { excerpt, exceptionOf, failureKind, isLifecycle, type FailureKind } from './log-kinds.ts';
import { levels, type Level, type LogRecord } from './log-formats.ts';
import type { Gap } from './log-pauses.ts';

/** Points of the time line. When more would be needed, each covers twice the time. */
const maxPoints = 480;
const maxIds = 20_000;
const templatesPerId = 6;
const sampleLength = 400;
const maxFollowing = 2;

export interface Place {
  readonly file: string;
  /** Undefined in a compressed file, of which nobody could open a line. */
  readonly line: number | undefined;
  readonly timeMs: number | undefined;
}

export interface TemplateStatistics {
  readonly template: Template;
  readonly level: Level;
  readonly kind: FailureKind | undefined;
  readonly exception: string | undefined;
  readonly isLifecycle: boolean;
  readonly status: number | undefined;
  readonly first: Place;
  /** The first message, without secrets. */
  readonly sample: string;
  /** Lines that followed the first one without a time of their own: a stack. */
  readonly following: string[];
  firstMs: number | undefined;
  lastMs: number | undefined;
  count: number;
  /** Messages by the number of the point in time. */
  readonly series: Map<number, number>;
}

export class LogStatistics {
  readonly drain = new Drain();
  readonly byTemplate = new Map<number, TemplateStatistics>();
  readonly byLevel: Record<Level, number> = { debug: 0, info: 0, warning: 0, error: 0, fatal: 0 };
  /** Templates of warnings and worse by what correlates them. */
  readonly ids = new Map<string, number[]>();
  /** Pauses that are unusual for their file. */
  readonly gaps: Gap[] = [];
  readonly formats = new Map<string, number>();
  pointMs = 1_000;
  fromMs: number | undefined;
  toMs: number | undefined;
  lines = 0;
  withoutTime = 0;
  withoutZone = 0;
  /** Messages beyond the number of templates that are kept. */
  unclustered = 0;
  idsDropped = false;
  requests = 0;

  /** Takes one record into account; what it returns may be given lines that follow it. */
  add(record: LogRecord, place: Place): TemplateStatistics | undefined {
    this.byLevel[record.level] += 1;
    this.formats.set(record.format, (this.formats.get(record.format) ?? 0) + 1);
    if (!record.hasZone) this.withoutZone += 1;
    if (record.status !== undefined) this.requests += 1;
    const { timeMs } = record;
    if (timeMs === undefined) this.withoutTime += 1;
    else this.#widen(timeMs);
    // Answers of a web server are told apart by their status, whatever level that is.
    const branch = record.status === undefined ? record.level : `${record.level} ${record.status}`;
    const template = this.drain.add(branch, record.message);
    if (template === undefined) {
      this.unclustered += 1;
      return undefined;
    }
    const entry = this.byTemplate.get(template.id) ?? this.#begin(template, record, place);
    entry.count += 1;
    if (timeMs !== undefined) {
      entry.firstMs = Math.min(entry.firstMs ?? timeMs, timeMs);
      entry.lastMs = Math.max(entry.lastMs ?? timeMs, timeMs);
      const point = Math.floor(timeMs / this.pointMs);
      entry.series.set(point, (entry.series.get(point) ?? 0) + 1);
    }
    if (levels.indexOf(record.level) >= 2) this.#relate(record.ids, template.id);
    return entry;
  }

  /** A line that belongs to the one before it. */
  follow(entry: TemplateStatistics | undefined, text: string): void {
    if (entry?.count === 1 && entry.following.length < maxFollowing && text.trim() !== '')
      entry.following.push(excerpt(text.trim(), sampleLength));
  }

  #begin(template: Template, record: LogRecord, place: Place): TemplateStatistics {
    const isBad = levels.indexOf(record.level) >= 2;
    const entry: TemplateStatistics = {
      template,
      level: record.level,
      kind: record.status === undefined ? failureKind(record.message, isBad) : undefined,
      exception: isBad ? exceptionOf(record.message) : undefined,
      isLifecycle: isLifecycle(record.message),
      status: record.status,
      first: place,
      sample: excerpt(record.message, sampleLength),
      following: [],
      firstMs: undefined,
      lastMs: undefined,
      count: 0,
      series: new Map(),
    };
    this.byTemplate.set(template.id, entry);
    return entry;
  }

  #relate(ids: readonly string[], template: number): void {
    for (const id of ids) {
      const known = this.ids.get(id);
      if (known === undefined) {
        if (this.ids.size >= maxIds) this.idsDropped = true;
        else this.ids.set(copied(id), [template]);
      } else if (known.length < templatesPerId && !known.includes(template)) known.push(template);
    }
  }

  /** Keeps the number of points bounded, whatever time the log covers. */
  #widen(timeMs: number): void {
    this.fromMs = Math.min(this.fromMs ?? timeMs, timeMs);
    this.toMs = Math.max(this.toMs ?? timeMs, timeMs);
    while ((this.toMs - this.fromMs) / this.pointMs > maxPoints) {
      this.pointMs *= 2;
      for (const { series } of this.byTemplate.values()) {
        const old = [...series];
        series.clear();
        for (const [point, amount] of old) {
          const half = Math.floor(point / 2);
          series.set(half, (series.get(half) ?? 0) + amount);
        }
      }
    }
  }
}
