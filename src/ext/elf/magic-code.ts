/**
 * `Pg_magic_func` does nothing but return the address of a constant. These are its instructions as gcc and
 * clang write them; another one means that the code is not understood, and no address is made up.
 */
import type { ElfImage } from './image.ts';

/** Where the returned address comes from: it is this one, or the word at this one holds it. */
export interface Returned {
  readonly address: number;
  readonly isPointer: boolean;
}

/** Frames, hints against jumps and padding: more of them than any compiler has been seen to write. */
const mostInstructions = 24;

/** Throws `invalid_input` when an instruction is none of those. */
export function decodeReturned(image: ElfImage, address: number): Returned {
  const returned =
    image.architecture === 'x86_64' ? decodeIntel(image, address) : decodeArm(image, address);
  if (returned !== undefined) return returned;
  throw image.fault('Pg_magic_func has no code that is understood, so that its magic is unknown');
}

/** Instructions that leave rax alone: endbr64, push rbp, mov rbp to rsp (both encodings), pop, leave, nops. */
const intelIgnored = [
  'f30f1efa',
  '55',
  '4889e5',
  '488bec',
  '5d',
  'c9',
  '90',
  '6690',
  '0f1f00',
  '0f1f4000',
  '0f1f4008',
  '0f1f440000',
  '660f1f440000',
];
/** `lea rax, [rip + n]` and `mov rax, [rip + n]`, also behind a prefix 67 that changes nothing here. */
const intelLea = '488d05';
const intelMov = '488b05';
/** `ret`, `repz ret`, `bnd ret`. */
const intelReturns = ['c3', 'f3c3', 'f2c3'];

function decodeIntel(image: ElfImage, address: number): Returned | undefined {
  let at = image.offsetOf(address, 1);
  const toAddress = address - at;
  const code = image.bytes.toString('hex', at, at + 128);
  const begin = at;
  let returned: Returned | undefined;
  for (let count = 0; count < mostInstructions; count += 1) {
    const rest = code.slice((at - begin) * 2);
    if (intelReturns.some((bytes) => rest.startsWith(bytes))) return returned;
    const ignored = intelIgnored.find((bytes) => rest.startsWith(bytes));
    if (ignored !== undefined) {
      at += ignored.length / 2;
    } else if (rest.startsWith(intelLea) || rest.startsWith(intelMov)) {
      const next = at + 7 + toAddress;
      returned = { address: next + image.i32(at + 3), isPointer: rest.startsWith(intelMov) };
      at += 7;
    } else return undefined;
  }
  return undefined;
}

/**
 * nop, bti c, paciasp, autiasp, `mov x29, sp`, `stp x29, x30, [sp, #-16]!`, `ldp x29, x30, [sp], #16`.
 */
const armIgnored: ReadonlySet<number> = new Set([
  0xd503201f, 0xd503245f, 0xd503233f, 0xd50323bf, 0x910003fd, 0xa9bf7bfd, 0xa8c17bfd,
]);
/** `ret`, and `retaa` of pointer authentication. */
const armReturns: ReadonlySet<number> = new Set([0xd65f03c0, 0xd65f0bff]);

function decodeArm(image: ElfImage, address: number): Returned | undefined {
  const at = image.offsetOf(address, 4);
  const registers = new Map<number, Returned>();
  for (let count = 0; count < mostInstructions; count += 1) {
    const word = image.u32(at + count * 4);
    if (armReturns.has(word)) return registers.get(0);
    if (armIgnored.has(word)) continue;
    const [to, from] = [word & 31, (word >>> 5) & 31];
    const base = registers.get(from);
    if ((word & 0x1f000000) === 0x10000000) {
      registers.set(to, { address: pcRelative(word, address + count * 4), isPointer: false });
    } else if (word >>> 23 === 0x122 && base?.isPointer === false) {
      // add Xd, Xn, #imm12, perhaps shifted by twelve bits.
      const immediate = ((word >>> 10) & 0xfff) * ((word >>> 22) & 1 ? 4096 : 1);
      registers.set(to, { address: base.address + immediate, isPointer: false });
    } else if (word >>> 22 === 0x3e5 && base?.isPointer === false) {
      // ldr Xt, [Xn, #imm12 * 8]: a word of the global offset table.
      const immediate = ((word >>> 10) & 0xfff) * 8;
      registers.set(to, { address: base.address + immediate, isPointer: true });
    } else return undefined;
  }
  return undefined;
}

/** adr: bytes from here; adrp: pages of 4 KiB from the page of here. 21 bits with a sign, in two pieces. */
function pcRelative(word: number, here: number): number {
  const bits = (((word >>> 5) & 0x7ffff) << 2) | ((word >>> 29) & 3);
  const distance = (bits << 11) >> 11;
  return word >>> 31 === 1 ? here - (here % 4096) + distance * 4096 : here + distance;
}
