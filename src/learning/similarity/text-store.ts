/** A block of texts: one allocation outside of the JavaScript heap, which its collector never walks. */
const blockBytes = 1_048_576;

/** Texts of at most 4,000 characters, as UTF-8 one behind the other; they are never changed or left out. */
export class TextStore {
  readonly #blocks: Buffer[] = [];
  #used = blockBytes;

  /** Gives where the text lies. */
  add(text: string): number {
    const bytes = Buffer.from(text);
    const size = bytes.length + 4;
    if (this.#used + size > blockBytes) {
      this.#blocks.push(Buffer.alloc(blockBytes));
      this.#used = 0;
    }
    const block = this.#blocks.at(-1);
    const at = this.#used;
    block?.writeUInt32LE(bytes.length, at);
    block?.set(bytes, at + 4);
    this.#used += size;
    return (this.#blocks.length - 1) * blockBytes + at;
  }

  read(at: number): string {
    const block = this.#blocks[Math.floor(at / blockBytes)];
    const from = at % blockBytes;
    if (block === undefined) return '';
    return block.toString('utf8', from + 4, from + 4 + block.readUInt32LE(from));
  }
}
