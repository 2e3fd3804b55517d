import { h } from './dom.js';

/** Whether an action is allowed on something, so that a view of it has anything to show. */
export function mayAnywhere({ rights, scope }, action) {
  if (scope !== undefined && !scope.includes(action)) return false;
  return rights.everywhere.includes(action) || rights.some.some((one) => one.action === action);
}

/** Every permission of a principal in words, with what gives it. `roles` are those that can be read. */
export function rightsList(rights, permissions, roles = []) {
  const known = new Map(permissions.map((one) => [one.action, one]));
  const rows = [
    ...rights.everywhere.map((action) => ({
      action,
      where: 'everywhere',
      by: rolesGiving(known.get(action), rights.roles, roles),
    })),
    ...rights.some.map(({ action, pattern, role }) => ({
      action,
      where: `on ${pattern}`,
      by: [`role ${role}`],
    })),
  ];
  if (rows.length === 0) return h('p', { class: 'muted' }, 'Nothing. A role gives permissions.');
  return h(
    'ul',
    { class: 'panel rights' },
    rows.map(({ action, where, by }) =>
      h(
        'li',
        { 'data-key': `${action} ${where}` },
        h('code', {}, action),
        h('span', { class: 'small' }, known.get(action)?.description ?? ''),
        h('span', { class: 'small muted' }, [where, ...by].join(', ')),
      ),
    ),
  );
}

/** Through which roles, and through which wider permission of them. */
function rolesGiving(permission, held, roles) {
  if (permission === undefined) return [];
  return roles
    .filter(({ name }) => held.includes(name))
    .flatMap(({ name, permissions }) => {
      const wholly = permissions.filter(({ pattern }) => pattern === '*');
      const given = new Set(wholly.map(({ action }) => action));
      if (given.has(permission.action)) return [`role ${name}`];
      const wide = permission.impliedBy.find((action) => given.has(action));
      return wide === undefined ? [] : [`role ${name} by ${wide}`];
    });
}

/** Where a client is, as far as it tells: `Firefox on Linux`. */
export function device(userAgent) {
  if (!userAgent) return 'unknown client';
  const browser = [
    ['Edg', 'Edge'],
    ['Firefox', 'Firefox'],
    ['Chrome', 'Chrome'],
    ['Safari', 'Safari'],
  ].find(([mark]) => userAgent.includes(`${mark}/`));
  const system = ['Windows', 'Android', 'iPhone', 'iPad', 'Mac OS X', 'Linux'].find((name) =>
    userAgent.includes(name),
  );
  if (browser === undefined) return userAgent.slice(0, 60);
  return system === undefined ? browser[1] : `${browser[1]} on ${system.replace(' OS X', '')}`;
}
