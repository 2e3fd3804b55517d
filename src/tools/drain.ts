/**
 * Clusters log messages into templates in one pass: Drain (He, Zhu, Zheng, Lyu: "Drain: An Online Log
 * Parsing Approach with Fixed Depth Tree", IEEE ICWS 2017). A message is led down a tree, by its
 * number of words and then its first words, to a short list of templates; it joins the most similar
 * one that is similar enough, and words in which they differ become wildcards. What is added to the
 * paper: severity is the first branch, so that no error hides among notices, and the number of
 * templates is bounded.
 */

export interface Template {
  readonly id: number;
  /** Words; `<*>` where messages differ. */
  readonly words: string[];
}

export interface DrainOptions {
  /** Words below the length that the tree looks at; the paper's depth less two. Default 2. */
  readonly leadingWords?: number;
  /** The share of equal words from which a message belongs to a template. Default 0.5. */
  readonly similarity?: number;
  /** Branches of a node; further words share one. Default 100, as in the paper. */
  readonly maxChildren?: number;
  /** Beyond it a message without a template gets none. Default 4,000. */
  readonly maxTemplates?: number;
}

interface Node {
  readonly children: Map<string, Node>;
  readonly templates: Template[];
}

const wildcard = '<*>';
/** Of a longer message the rest says which, not what. */
const maxWords = 48;

export class Drain {
  readonly templates: Template[] = [];
  readonly #root: Node = makeNode();
  readonly #options: Required<DrainOptions>;

  constructor(options: DrainOptions = {}) {
    this.#options = {
      leadingWords: 2,
      similarity: 0.5,
      maxChildren: 100,
      maxTemplates: 4_000,
      ...options,
    };
  }

  /** The template of a message, which may be new; undefined where there are too many already. */
  add(severity: string, message: string): Template | undefined {
    const words = mask(message).split(/\s+/, maxWords);
    const leaf = this.#leaf(severity, words);
    let best: Template | undefined;
    let most = -1;
    for (const template of leaf.templates) {
      const share = similarity(template.words, words);
      if (share > most) [best, most] = [template, share];
    }
    if (best !== undefined && most >= this.#options.similarity) {
      if (most < 1)
        for (let at = 0; at < words.length; at += 1)
          if (best.words[at] !== words[at]) best.words[at] = wildcard;
      return best;
    }
    if (this.templates.length >= this.#options.maxTemplates) return undefined;
    // Copied, since a piece of a text keeps all of that text in memory.
    const made = { id: this.templates.length, words: words.map(copied) };
    this.templates.push(made);
    leaf.templates.push(made);
    return made;
  }

  #leaf(severity: string, words: readonly string[]): Node {
    let node = this.#child(this.#root, `${severity} ${words.length}`, true);
    for (const word of words.slice(0, this.#options.leadingWords))
      node = this.#child(node, word, false);
    return node;
  }

  #child(node: Node, word: string, isKept: boolean): Node {
    const full = node.children.size >= this.#options.maxChildren;
    // A word that holds a value says nothing about the kind of message.
    const isValue = !isKept && word.includes('<');
    const key = isValue || (full && !isKept && !node.children.has(word)) ? wildcard : word;
    let child = node.children.get(key);
    if (child === undefined) {
      child = makeNode();
      node.children.set(copied(key), child);
    }
    return child;
  }
}

/** The same text with memory of its own. */
export function copied(text: string): string {
  return Buffer.from(text).toString();
}

function makeNode(): Node {
  return { children: new Map(), templates: [] };
}

/** Equal words of two texts of one length, as a share; a wildcard is equal to nothing. */
function similarity(template: readonly string[], words: readonly string[]): number {
  let equal = 0;
  for (let at = 0; at < template.length; at += 1) if (template[at] === words[at]) equal += 1;
  return equal / Math.max(1, template.length);
}

const values =
  /"[^"]{0,400}"|\bhttps?:\/\/[^\s"'<>)\]]+|\b[\w.+-]+@[\w-]+\.[\w.-]+\b|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b|\b0x[0-9a-f]+\b|\b(?=[a-f]*\d)[0-9a-f]{8,}\b|\d+(?:[.,:]\d+)*/gi;

/** Puts a mark in the place of what surely is a value: the paper's preprocessing by domain knowledge. */
export function mask(message: string): string {
  return message.trim().replace(values, (value) => {
    const first = value.charCodeAt(0);
    if (first === 34) return '<text>';
    if (/^https?:/i.test(value)) return '<url>';
    if (value.includes('@')) return '<email>';
    if (/^(?:\d{1,3}\.){3}\d/.test(value)) return '<ip>';
    return /[a-f-]/i.test(value) ? '<id>' : '<n>';
  });
}
