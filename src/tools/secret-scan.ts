import { lintSource } from '@secretlint/core';
import { creator } from '@secretlint/secretlint-rule-preset-recommend';
import type { Finding, Severity, ToolReport } from '../base/base.ts';
import { LineIndex } from './comments.ts';
import { extensionOf, isGenerated, isLockFile, isTest, isVendored } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type TextFile } from './repository.ts';
import type { ToolContext } from './tools.ts';

/**
 * Severities: critical for a credential of a known form (a provider's key, a private key), high for
 * a file that holds keys, medium for a random-looking value under a secret's name; each two steps
 * lower in tests, examples and documents, where invented ones are common. The secret itself is never printed.
 */
const key =
  /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\s*(?:\\n)?[\sA-Za-z0-9+/=:,\\-]{64,}/g;
// No prefix of the name before the keyword: looking for one took minutes in files full of hashes.
const assignment =
  /(api[_-]?key|secret(?:[_-]?key)?|token|passw(?:or)?d|private[_-]?key|access[_-]?key)["']?[ \t]{0,20}(?::|=>|:?=)[ \t]{0,20}["']([^"'\s]{16,200})["']/gi;
const environment =
  /^(?:export\s+)?[A-Z0-9_]*(?:KEY|SECRET|TOKEN|PASSWORD|PASSWD)\s*=\s*["']?([^"'\s#]{8,200})["']?\s*$/gm;
const placeholder =
  /^(x+|\*+|\.+|<.*>|\$\{?.*|%.*%|\{\{.*|.*(example|sample|dummy|placeholder|changeme|change-me|your[_-]|redacted|replace|insert|todo|not-?a-?secret|fake|test).*|process\.env.*|os\.environ.*|env[.(].*)$/i;
const keyFile =
  /(^|\/)(id_(rsa|dsa|ecdsa|ed25519)|[^/]*\.(p12|pfx|jks|keystore|kdbx|ppk|ovpn)|\.pgpass|\.netrc|\.htpasswd|credentials\.json|service-account[^/]*\.json)$/i;
const exampleFile = /\.(example|sample|template|dist|tmpl)$|[._-](example|sample|template)[._-]/i;

/** Credentials in the files of the present tree, by form, by name and by how random they look. */
export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('secret-scan', context.limit);
  // secretlint marks every step for its profiler, which then searches all marks for each one: after
  // 1,500 files the process spent a minute on that. Nothing else here reads marks.
  Object.defineProperty(performance, 'mark', { value: () => undefined });
  for (const { path } of repository.files) {
    if (!keyFile.test(path) || exampleFile.test(path)) continue;
    report.add({
      severity: lowered('high', path),
      rule: 'key-file',
      file: path,
      message: 'A file that by its name holds keys or passwords is tracked.',
      fix: revoke,
    });
  }
  let scanned = 0;
  // Hashes of packages look like secrets and are none.
  for (const file of repository.texts(({ path }) => !isLockFile(path) && !path.endsWith('.map'))) {
    scanned += 1;
    if (scanned % 1_000 === 0) context.progress(`${scanned} files scanned`);
    for (const finding of await scan(file)) report.add(finding);
  }
  report.metric('filesScanned', scanned);
  report.note(
    'The present tree was scanned; a secret that a later commit removed is still in the history.',
  );
  report.notes(repository.notes());
  return report.build(
    report.total === 0
      ? `No credentials found in ${count(scanned, 'file')}.`
      : `${count(report.total, 'possible credential')} in ${count(scanned, 'file')}.`,
  );
}

const revoke =
  'Revoke it first, since whoever has a clone has it; then remove it and read it from the environment or a secret store.';

/** At most one finding a line: the most certain one. */
async function scan(file: TextFile): Promise<Finding[]> {
  const found = new Map<number, Finding>();
  const add = (finding: Finding & { line: number }): void => {
    if (!found.has(finding.line)) found.set(finding.line, finding);
  };
  for (const finding of await scanKnown(file)) add(finding);
  for (const finding of scanOwn(file)) add(finding);
  return [...found.values()];
}

async function scanKnown({ path, text }: TextFile): Promise<(Finding & { line: number })[]> {
  const result = await lintSource({
    // Without the marks by which the rules are switched off: whoever plants a secret can write those too.
    source: {
      content: text.replaceAll(/secretlint-(disable|enable)/g, 'secretlint+$1'),
      filePath: `/${path}`,
      ext: `.${extensionOf(path)}`,
      contentType: 'text',
    },
    options: {
      config: { rules: [{ id: '@secretlint/secretlint-rule-preset-recommend', rule: creator }] },
      maskSecrets: true,
      noPhysicFilePath: true,
    },
  });
  return result.messages.map(({ messageId, message, range, loc, ruleId }) => {
    const secret = text.slice(range[0], range[1]);
    const isInvented = placeholder.test(secret) || isLocalUrl(secret);
    return {
      severity: isInvented ? 'info' : lowered('critical', path),
      rule: ruleId.replace('@secretlint/secretlint-rule-', '') + `/${messageId}`,
      file: path,
      line: Math.max(1, loc.start.line),
      column: loc.start.column + 1,
      // Its own message carries the masked value in the middle; what matters is what was found.
      message: `${message
        .replaceAll(/[(:]?\s*\*{4,}\)?/g, '')
        .replace(/^found/, 'Found')
        .replace(/[\s:]+$/, '')}.`,
      evidence: shape(secret),
      fix: revoke,
    };
  });
}

/** A URL with the password that everybody uses at home, or to a host that is nobody's. */
function isLocalUrl(text: string): boolean {
  const [, user = '', password = '', host = ''] =
    /:\/\/([^:@/\s]*):([^@/\s]*)@([^:/\s?]*)/.exec(text) ?? [];
  if (password === '') return false;
  return (
    user === password ||
    /^(pass\w*|pw|pwd|secret|postgres|mysql|root|admin|user|foo|bar|1234\d*|\$.*|<.*)$/i.test(
      password,
    ) ||
    /^(localhost|127\.|0\.0\.0\.0|\[?::1|host$|hostname$|server$|db$)|\bexample\b/i.test(host)
  );
}

function scanOwn({ path, text }: TextFile): (Finding & { line: number })[] {
  const found: (Finding & { line: number })[] = [];
  let index: LineIndex | undefined;
  const add = (
    severity: Severity,
    rule: string,
    offset: number,
    message: string,
    evidence: string,
  ): void => {
    index ??= new LineIndex(text);
    found.push({
      severity: lowered(severity, path),
      rule,
      file: path,
      ...index.at(offset),
      message,
      evidence,
      fix: revoke,
    });
  };
  for (const match of text.matchAll(key)) {
    if (/example|ellipsis|\.\.\./i.test(match[0])) continue;
    add(
      'critical',
      'private-key',
      match.index,
      'A private key stands in the file.',
      `${match[0].length} characters`,
    );
  }
  if (!isGenerated(path, text)) {
    for (const match of text.matchAll(assignment)) {
      const [whole, name = '', value = ''] = match;
      if (!looksRandom(value)) continue;
      add(
        'medium',
        'random-value',
        match.index + whole.indexOf(value),
        `${name} is set to a value that looks random.`,
        shape(value),
      );
    }
  }
  if (/(^|\/)\.env(\.[\w-]+)?$/.test(path) && !exampleFile.test(path)) {
    for (const match of text.matchAll(environment)) {
      const value = match[1] ?? '';
      if (placeholder.test(value) || /^(true|false|\d+)$/.test(value)) continue;
      add(
        'high',
        'environment-file',
        match.index,
        'An environment file with a secret in it is tracked.',
        shape(value),
      );
    }
  }
  return found;
}

/** More than 3.5 bits a character and signs of several kinds: words and paths have fewer (measured: English prose 2.5 to 3.3 at such lengths). */
export function looksRandom(value: string): boolean {
  if (
    placeholder.test(value) ||
    /[\s/.]{2}|:\/\/|^[a-z]+([_-][a-z]+)*$|^[A-Z]+(_[A-Z]+)*$/.test(value)
  )
    return false;
  const kinds = [/[a-z]/, /[A-Z]/, /\d/].filter((kind) => kind.test(value)).length;
  const isHex = /^[0-9a-f]{32,}$/i.test(value);
  return entropy(value) > (isHex ? 3 : 3.5) && (kinds >= 2 || isHex) && /\d/.test(value);
}

/** Shannon entropy in bits a character. */
export function entropy(value: string): number {
  const amounts = new Map<string, number>();
  for (const sign of value) amounts.set(sign, (amounts.get(sign) ?? 0) + 1);
  let bits = 0;
  for (const amount of amounts.values()) {
    const share = amount / value.length;
    bits -= share * Math.log2(share);
  }
  return bits;
}

/** What may be shown of a secret: its length. Even its first characters narrow a search. */
function shape(value: string): string {
  return `[redacted, ${value.length} characters]`;
}

/** Documents show what a credential looks like more often than they hold one. */
function isProse(path: string): boolean {
  return /^(md|mdx|markdown|rst|adoc)$/.test(extensionOf(path));
}

function lowered(severity: Severity, path: string): Severity {
  const isReal = !isTest(path) && !isVendored(path) && !exampleFile.test(path) && !isProse(path);
  if (isReal) return severity;
  return severity === 'critical' ? 'medium' : severity === 'high' ? 'low' : 'info';
}
