/** An answer of any schema as lines of Markdown. */
import { asRecord } from './packages.ts';
import { shorten } from './report.ts';

const maxLines = 60;
const maxLength = 600;

/** Texts as they are, lists as points; findings are left out, since the report has them already. */
export function renderAnswer(answer: unknown, escape: (text: string) => string): string[] {
  const lines: string[] = [];
  const fields = asRecord(answer) ?? { answer };
  for (const [name, value] of Object.entries(fields)) {
    if (name === 'findings' || isEmpty(value)) continue;
    if (Array.isArray(value)) {
      lines.push(`**${escape(spaced(name))}**`, '');
      for (const item of value as unknown[]) lines.push(`- ${line(item, escape)}`);
      lines.push('');
    } else lines.push(`**${escape(spaced(name))}**: ${line(value, escape)}`, '');
  }
  const shown = lines.slice(0, maxLines);
  if (lines.length > maxLines) shown.push('', 'The rest is in report.json.');
  while (shown.at(-1) === '') shown.pop();
  return shown;
}

function line(value: unknown, escape: (text: string) => string): string {
  const fields = asRecord(value);
  const text =
    fields === undefined
      ? plain(value)
      : Object.entries(fields)
          .filter(([, item]) => !isEmpty(item))
          .map(([name, item]) => `${spaced(name)}: ${plain(item)}`)
          .join('; ');
  return escape(shorten(text, maxLength));
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function isEmpty(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    value === '' ||
    (Array.isArray(value) && value.length === 0)
  );
}

/** `notReviewed` as `not reviewed`. */
function spaced(name: string): string {
  return name.replaceAll(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
}
