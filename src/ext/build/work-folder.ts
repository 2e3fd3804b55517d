/** A private folder for one build, and the log that stays of a build that failed. */
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface WorkFolder {
  /** Without links, as compilers write it into what they make. */
  readonly path: string;
  remove(): Promise<void>;
}

/** Makes a work folder, after removing those whose process ended without doing so. */
export async function openWorkFolder(cacheFolder: string): Promise<WorkFolder> {
  const builds = join(cacheFolder, 'builds');
  await mkdir(builds, { recursive: true });
  for (const name of await readdir(builds)) {
    const pid = /^work-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || isRunning(Number(pid))) continue;
    await rm(join(builds, name), { recursive: true, force: true });
  }
  const path = await mkdtemp(join(await realpath(builds), `work-${process.pid}-`));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** PostGIS with its warnings prints about 2 MB. */
const mostLogCharacters = 16 * 1024 * 1024;

/** The lines of a build; past the limit they are counted and not kept: what matters is said first. */
export class BuildLog {
  #text = '';
  #lost = 0;

  add(line: string): void {
    if (this.#text.length + line.length > mostLogCharacters) this.#lost += 1;
    else this.#text += `${line}\n`;
  }

  get text(): string {
    return this.#lost === 0 ? this.#text : `${this.#text}(${this.#lost} more lines)\n`;
  }

  /** Keeps it under a name that the next build of the same kind uses again; returns the path. */
  async keep(cacheFolder: string, name: string): Promise<string> {
    const path = join(cacheFolder, 'builds', `${name.replaceAll(/[^\w.-]/g, '_')}.log`);
    await writeFile(path, this.text);
    return path;
  }
}
