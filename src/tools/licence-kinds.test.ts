import { expect, test } from 'vitest';
import { identify, isSameLicence, kindOf } from './licence-kinds.ts';

test.each([
  ['MIT', 'permissive', true],
  ['(MIT OR GPL-3.0-only)', 'permissive', true],
  ['MIT AND GPL-3.0-only', 'copyleft', true],
  ['GPL-2.0-only WITH Classpath-exception-2.0', 'weak-copyleft', true],
  ['LGPL-2.1-or-later', 'weak-copyleft', true],
  ['MPL-2.0', 'weak-copyleft', true],
  ['AGPL-3.0-or-later', 'copyleft', true],
  ['BUSL-1.1', 'restricted', true],
  ['BSL-1.0', 'permissive', true],
  ['UNLICENSED', 'restricted', false],
  ['Apache 2.0', 'permissive', false],
  ['GPL', 'copyleft', false],
  ['SEE LICENSE IN license.txt', 'unknown', false],
])('%s is %s', (expression, kind, isValid) => {
  expect(kindOf(expression)).toEqual({ kind, isValid });
});

test.each([
  [
    'MIT',
    'MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\nof this software',
  ],
  [
    'ISC',
    'Permission to use, copy, modify, and/or distribute this software for any\npurpose with or without fee is hereby granted, provided that the above',
  ],
  [
    '0BSD',
    'Permission to use, copy, modify, and/or distribute this software for any\npurpose with or without fee is hereby granted.',
  ],
  [
    'Apache-2.0',
    '                                 Apache License\n                           Version 2.0, January 2004',
  ],
  ['GPL-2.0', 'GNU GENERAL PUBLIC LICENSE\n                       Version 2, June 1991'],
  ['LGPL-3.0', 'GNU LESSER GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007'],
  [
    'BSD-3-Clause',
    'Redistribution and use in source and binary forms … Neither the name of the holder nor the names may be used to endorse or promote products',
  ],
  ['BSD-2-Clause', 'Redistribution and use in source and binary forms, with or without'],
  [undefined, 'You may do as you please on Sundays.'],
])('%s is known by its text', (id, text) => {
  expect(identify(text)).toBe(id);
});

test('the ways to write one licence agree', () => {
  expect(isSameLicence('GPL-3.0-or-later', 'GPL-3.0')).toBe(true);
  expect(isSameLicence('MIT', 'ISC')).toBe(false);
});
