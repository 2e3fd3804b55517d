import { hidden, shownText, type McpToolDefinition } from './mcp-definition.ts';

/** What the agent has besides: a description that speaks of it speaks to its reader. */
export interface Surroundings {
  /** Tools of other servers of the agent, and what it has built in. */
  readonly otherTools: readonly string[];
}

interface Sign {
  readonly pattern: RegExp;
  /** Ends the sentence "its description …". */
  readonly says: string;
}

const target = String.raw`(?:instructions?|prompts?|rules|directives?|messages?|context|guidelines?|commands?)`;
const person = String.raw`(?:the |your |any |this |it to )*(?:user|human|person|operator|developer|anyone)`;
const secret = String.raw`(?:(?:api|private|ssh|secret|access|signing)[ _-]?keys?|passwords?|passphrases?|credentials?|secrets?|access[ _-]?tokens?|auth(?:entication|orization)?[ _-]?tokens?|cookies|system prompt|(?:conversation|chat|message) history|(?:whole|full|entire|previous|prior) conversation)`;

/**
 * Sentences that tell the reader what to do instead of telling what the tool does, as they were seen in
 * published attacks (tool poisoning, tool shadowing, rug pulls). Texts come in lower case, one blank
 * between words. Every quantifier is bounded, so that no text takes long.
 */
const signs: readonly Sign[] = [
  {
    pattern: new RegExp(
      String.raw`\b(?:ignore|disregard|forget|override|bypass|neglect)\b[^.]{0,40}\b(?:previous|prior|above|earlier|preceding|existing|other|all|any|your|system|safety)\b[^.]{0,40}\b${target}\b`,
    ),
    says: 'tells its reader to ignore instructions',
  },
  {
    pattern:
      /<\/?\s{0,3}(?:important|system|instructions?|secret|hidden|admin|assistant|human|sys|critical|override|tool_call|function_calls?|antml|mcp_server_says)\b[^>]{0,80}>/,
    says: 'holds a mark that speaks to models, such as <IMPORTANT>',
  },
  {
    pattern:
      /<\|[a-z_]{2,30}\|>|\[\/?inst\]|<<\/?sys>>|(?:^|\n)\s{0,8}#{0,6}\s?(?:system|assistant)\s?:/,
    says: 'holds the marks of a conversation with a model',
  },
  {
    pattern: new RegExp(
      String.raw`\b(?:do not|don['’]?t|never|must not|mustn['’]?t|should not|without|avoid)\b[^.]{0,40}\b(?:tell(?:ing)?|mention(?:ing)?|inform(?:ing)?|notify(?:ing)?|reveal(?:ing)?|show(?:ing)?|disclos(?:e|ing)|alert(?:ing)?|warn(?:ing)?|explain(?:ing)?|ask(?:ing)?)\b[^.]{0,60}\b${person}\b`,
    ),
    says: 'asks for something to be kept from the user',
  },
  {
    pattern:
      /\b(?:you are now|from now on,? you|your (?:new|real|true|actual) (?:instructions?|task|goal|role|purpose)|new (?:system )?instructions?:|act as (?:an? )?(?:unrestricted|root|admin))/,
    says: 'gives its reader a new task',
  },
  {
    pattern:
      /\b(?:before|after|whenever|when|every time|prior to)\b[^.]{0,30}\b(?:us(?:e|ing)|call(?:ing)?|invok(?:e|ing)|run(?:ning)?)\b[^.]{0,20}\b(?:any|every|all|each)\b[^.]{0,10}\b(?:other )?tools?\b/,
    says: 'wants to be part of the use of other tools',
  },
  {
    pattern:
      /\b(?:always|must|should)\b[^.]{0,30}\b(?:call|use|invoke|run)\b[^.]{0,20}\bthis tool\b[^.]{0,30}\b(?:first|before|instead)\b/,
    says: 'wants to be used before or instead of other tools',
  },
  {
    pattern: new RegExp(
      String.raw`\b(?:read|open|cat|load|fetch|get|access|retrieve|collect|find|send|include|pass|provide|put|append|attach|add|give|upload|forward|extract|copy|place)\b[^.]{0,60}\b${secret}\b[^.]{0,60}\b(?:as|in|into|to|with|via|through)\b[^.]{0,30}\b(?:parameter|argument|param|field|side ?note|tool|request|url|webhook|input|value|it)\b`,
    ),
    says: 'asks for secrets or for the conversation to be passed to it',
  },
  {
    pattern:
      /(?:~|\$home|\/root|\/home\/[^\s/]{1,32})\/\.(?:ssh|aws|gnupg|kube|docker|netrc|npmrc|cursor|claude|config)\b|\bid_(?:rsa|ed25519|ecdsa)\b|\/etc\/(?:passwd|shadow)\b|\bmcp\.json\b|\bread\b[^.]{0,40}(?:^|\s|`|'|")\.env\b/,
    says: 'names files that hold keys',
  },
];

/** Encoded bytes: no word is that long, and no path has so many capitals and digits in one go. */
const blob = /[A-Za-z0-9+/_-]{100,}={0,2}/g;
/** Emoji are joined and coloured by characters that nobody sees. */
const emojiSequence =
  /\p{Extended_Pictographic}[\u{1f3fb}-\u{1f3ff}]?\ufe0f?(?:\u200d\p{Extended_Pictographic}[\u{1f3fb}-\u{1f3ff}]?\ufe0f?)*|[0-9#*]\ufe0f?\u20e3/gu;
const mostCharacters = 65_536;

/**
 * Why a definition is not to be trusted at first sight, as the rest of the sentence "the tool …"; undefined
 * when nothing speaks against it. A clean bill is no proof: it is the list of what is known.
 */
export function suspicionOf(
  definition: McpToolDefinition,
  { otherTools }: Surroundings,
): string | undefined {
  if (otherTools.includes(definition.name)) {
    return 'has the name of a tool that the agent has from elsewhere';
  }
  if (!/^[\w./-]{1,128}$/.test(definition.name)) return 'has a name with unusual characters';
  const texts = textsOf(definition);
  if (texts.reduce((sum, text) => sum + text.length, 0) > mostCharacters) {
    return `has more text than ${mostCharacters} characters: nobody reads that`;
  }
  for (const text of texts) {
    const why = textSuspicion(text, otherTools);
    if (why !== undefined) return why;
  }
  return undefined;
}

function textSuspicion(text: string, otherTools: readonly string[]): string | undefined {
  const bare = text.replace(emojiSequence, '');
  const [found] = bare.match(hidden) ?? [];
  if (found !== undefined) return `holds hidden characters (${shownText(found)})`;
  for (const [run] of text.matchAll(blob)) {
    if (/[a-z]/.test(run) && /[A-Z]/.test(run) && /\d/.test(run)) return 'holds encoded data';
    if (/^[0-9a-fA-F]{128,}$/.test(run)) return 'holds encoded data';
  }
  // Letters of other alphabets that look like ours, full width and ligatures come out as what they look like.
  const plain = text.normalize('NFKC').toLowerCase();
  const words = plain.replace(/[^\S\n]+/g, ' ').replace(/[*_`"]/g, '');
  for (const { pattern, says } of signs) {
    if (pattern.test(plain) || pattern.test(words) || pattern.test(words.replaceAll('\n', ' '))) {
      return `has a description that ${says}`;
    }
  }
  const named = otherTools.find((tool) => /[_-]|[a-z][A-Z]/.test(tool) && names(text, tool));
  if (named !== undefined)
    return `has a description that speaks of ${named}, a tool from elsewhere`;
  return undefined;
}

/** Every text of a definition with the names of its fields: parameters are read, too. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(textsOf);
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, item]) => [key, ...textsOf(item)]);
}

/** Whether the text holds the name as a word of its own. */
function names(text: string, tool: string): boolean {
  for (let at = text.indexOf(tool); at !== -1; at = text.indexOf(tool, at + 1)) {
    const around = `${text[at - 1] ?? ' '}${text[at + tool.length] ?? ' '}`;
    if (!/[\w-]/.test(around)) return true;
  }
  return false;
}
