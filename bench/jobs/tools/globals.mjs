// What is there without being declared, for the linter that asks for a list: the language's own and Node's.
const names = Object.getOwnPropertyNames(globalThis).filter((name) =>
  /^[A-Za-z_$][\w$]*$/.test(name),
);

export default Object.fromEntries(
  [...names, 'exports', 'module', 'require', '__dirname', '__filename'].map((name) => [
    name,
    'readonly',
  ]),
);
