import { chip, h, plural, tone } from './dom.js';

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

/** A sentence as it stands; counts by severity, and which agents' findings are missing and why. */
function summaryOf(summary) {
  if (typeof summary === 'string') return h('p', {}, summary);
  if (summary === null || typeof summary !== 'object') return undefined;
  const { bySeverity = {}, byAgent = {}, filesTouched, agentsFailed = [] } = summary;
  const counts = Object.entries(bySeverity).filter(([, count]) => count > 0);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const where = filesTouched === undefined ? '' : ` in ${plural(filesTouched, 'file')}`;
  return [
    h(
      'p',
      { class: 'counts' },
      h('strong', {}, `${plural(total, 'finding')}${where}`),
      counts.map(([severity, count]) =>
        h('span', { class: `chip ${tone(severity)}` }, `${count} ${severity}`),
      ),
      h('span', { class: 'muted small' }, `by ${plural(Object.keys(byAgent).length, 'agent')}`),
    ),
    agentsFailed.length > 0 &&
      h(
        'p',
        { class: 'small' },
        h('strong', {}, 'Not examined: '),
        agentsFailed.map(notExamined).join('; '),
      ),
  ];
}

function notExamined(failed) {
  return typeof failed === 'string' ? failed : `${failed.agent} (${failed.reason})`;
}

export function fact(name, value) {
  return h('div', {}, h('dt', {}, name), h('dd', {}, value));
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
        ['Severity', 'Finding', 'Where'].map((name) => h('th', { scope: 'col' }, name)),
        h('th', { scope: 'col', class: 'wide' }, 'Found by'),
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
      rule !== undefined &&
        message !== undefined &&
        h('div', { class: 'small muted mono broken' }, rule),
      fix !== undefined && h('div', { class: 'small muted' }, fix),
    ),
    h(
      'td',
      { class: 'mono' },
      file === undefined ? '–' : line === undefined ? file : `${file}:${line}`,
    ),
    h('td', { class: 'small wide' }, Array.isArray(agents) ? agents.join(', ') : String(agents)),
  );
}

function isPath(value) {
  return (
    typeof value === 'string' && value.length < 500 && !value.includes('\n') && value.includes('/')
  );
}
