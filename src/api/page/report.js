import { chip, h, plural } from './dom.js';

const shownFindings = 20;

/** Whether a run's output is a review: a summary and its most pressing findings. */
export function isReport(output) {
  return output !== null && typeof output === 'object' && Array.isArray(output.top);
}

export function report({ summary, top, reportMarkdown, reportJson }) {
  const files = [reportMarkdown, reportJson].filter((file) => isPath(file));
  return h(
    'section',
    { class: 'panel report', 'aria-labelledby': 'report-title' },
    h('h2', { id: 'report-title' }, 'Report'),
    summaryOf(summary),
    files.length > 0 &&
      h(
        'p',
        { class: 'small muted' },
        'In full: ',
        files.flatMap((file) => [h('code', {}, file), ' ']),
      ),
    top.length === 0
      ? h('p', { class: 'muted' }, 'Nothing was found.')
      : h(
          'div',
          { class: 'table', tabindex: 0, role: 'region', 'aria-label': 'Top findings' },
          findingTable(top.slice(0, shownFindings)),
        ),
    top.length > shownFindings &&
      h(
        'p',
        { class: 'small muted' },
        `${plural(top.length - shownFindings, 'finding')} more in the output below.`,
      ),
  );
}

function summaryOf(summary) {
  if (typeof summary === 'string') return h('p', {}, summary);
  if (summary === null || typeof summary !== 'object') return undefined;
  const plain = Object.entries(summary).filter(([, value]) => typeof value !== 'object');
  const counts = Object.entries(summary).filter(
    ([, value]) => value !== null && typeof value === 'object' && !Array.isArray(value),
  );
  return [
    h(
      'dl',
      { class: 'facts' },
      plain.map(([name, value]) => fact(name, String(value))),
    ),
    counts.map(([name, value]) =>
      h(
        'p',
        { class: 'small' },
        h('span', { class: 'muted' }, `${words(name)}: `),
        Object.entries(value)
          .filter(([, item]) => typeof item !== 'object')
          .map(([key, item]) => `${words(key)} ${item}`)
          .join(' · '),
      ),
    ),
  ];
}

export function fact(name, value) {
  return h('div', {}, h('dt', {}, words(name)), h('dd', {}, value));
}

function findingTable(findings) {
  return h(
    'table',
    {},
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        ['Severity', 'Finding', 'Where', 'Found by'].map((name) => h('th', { scope: 'col' }, name)),
      ),
    ),
    h('tbody', {}, findings.map(findingRow)),
  );
}

function findingRow(finding) {
  const { severity = 'info', message, rule, fix, file, line } = finding;
  const agents = finding.agents ?? finding.agent ?? finding.tool ?? '';
  return h(
    'tr',
    {},
    h('td', {}, chip(severity)),
    h(
      'td',
      {},
      String(message ?? rule ?? ''),
      rule !== undefined && message !== undefined && h('div', { class: 'small muted mono' }, rule),
      fix !== undefined && h('div', { class: 'small muted' }, fix),
    ),
    h(
      'td',
      { class: 'mono' },
      file === undefined ? '–' : line === undefined ? file : `${file}:${line}`,
    ),
    h('td', { class: 'small' }, Array.isArray(agents) ? agents.join(', ') : String(agents)),
  );
}

function isPath(value) {
  return (
    typeof value === 'string' && value.length < 500 && !value.includes('\n') && value.includes('/')
  );
}

/** `byAgent` and `files_read` as words. */
function words(name) {
  const spaced = name
    .replaceAll('_', ' ')
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}
