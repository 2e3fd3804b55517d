/** What the log of a failed build says went wrong: the first complaint, since the others follow from it. */

export interface Complaint {
  readonly message: string;
  /** As the compiler named it, relative to the sources where it lies among them. */
  readonly file?: string;
  /** From 1. */
  readonly line?: number;
}

/** `counter.c:12:9: error: …`, and with `fatal error` where an include is missing. */
const compilerError = /^([^\s:][^:]*):(\d+):(?:\d+:)? (?:fatal )?error: (.+)$/;
/** `CMake Error at CMakeLists.txt:6 (message):`, with its words on the lines after it. */
const cmakeError = /^CMake Error(?: at ([^:]+):(\d+) \([^)]*\))?:? ?(.*)$/;
const others: readonly RegExp[] = [
  /undefined reference to .+$/,
  /(?:ld|ld\.\w+): cannot find .+$/,
  /^(?:\S*(?:gcc|g\+\+|clang(?:\+\+)?|cc1|cc1plus)): (?:fatal )?error: .+$/,
  /^[^\s:]+:\d+: \*\*\* .+$/,
  /^make(?:\[\d+\])?: \*\*\* .+$/,
];

/** The first complaint of a log; absent where nothing in it reads like one. */
export function firstComplaint(log: string): Complaint | undefined {
  const lines = log.split('\n');
  for (const [at, line] of lines.entries()) {
    const compiler = compilerError.exec(line);
    if (compiler !== null) return place(compiler[1], compiler[2], compiler[3] ?? '');
    const cmake = cmakeError.exec(line);
    if (cmake !== null) {
      const words = cmake[3] === '' ? paragraphAfter(lines, at) : (cmake[3] ?? '');
      return place(cmake[1], cmake[2], words);
    }
  }
  // Compilers and linkers say more than the make that ran them, whichever of them was heard first.
  for (const pattern of others) {
    const found = lines.find((line) => pattern.test(line));
    if (found !== undefined) return { message: found.trim() };
  }
  return undefined;
}

/** `counter.c:12: message`, as it stands in an error. */
export function complaintText({ file, line, message }: Complaint): string {
  return file === undefined ? message : `${file}:${line}: ${message}`;
}

function place(file: string | undefined, line: string | undefined, message: string): Complaint {
  return file === undefined || line === undefined
    ? { message }
    : { message, file, line: Number(line) };
}

function paragraphAfter(lines: readonly string[], at: number): string {
  const words: string[] = [];
  for (const line of lines.slice(at + 1, at + 8)) {
    if (line.trim() === '') {
      if (words.length > 0) break;
      continue;
    }
    words.push(line.trim());
  }
  return words.join(' ');
}

/** An option that ties the result to the processor of the building machine. */
export const nativeOption = /^-m(?:arch|cpu)=native$/;

/** The make variable through which a Makefile asks for this machine's processor, if it says so itself. */
export function nativeVariable(makefile: string): string | undefined {
  return /^\s*([A-Za-z_]\w*)\s*[:+?]?=.*-m(?:arch|cpu)=native/m.exec(makefile)?.[1];
}
