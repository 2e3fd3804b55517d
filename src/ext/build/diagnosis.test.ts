import { expect, test } from 'vitest';
import { complaintText, firstComplaint, nativeVariable } from './diagnosis.ts';

const textOf = (log: string): string | undefined => {
  const complaint = firstComplaint(log);
  return complaint === undefined ? undefined : complaintText(complaint);
};

test('the first error of a compiler is told with its place, warnings and notes are not', () => {
  const log = [
    'gcc -Wall -c -o counter.o counter.c',
    "counter.c: In function 'counter_step':",
    'counter.c:9:3: warning: unused variable [-Wunused-variable]',
    "counter.c:12:9: error: 'valu' undeclared (first use in this function)",
    'counter.c:14:1: error: something else',
    'make: *** [<builtin>: counter.o] Error 1',
  ].join('\n');
  expect(firstComplaint(log)).toEqual({
    file: 'counter.c',
    line: 12,
    message: "'valu' undeclared (first use in this function)",
  });
  expect(textOf('a/b.c:1:10: fatal error: postgres.h: No such file or directory')).toBe(
    'a/b.c:1: postgres.h: No such file or directory',
  );
});

test('what the linker, CMake and make complain of is found, and they in this order', () => {
  expect(
    textOf("make: *** [x.so] Error 1\n/usr/bin/ld: counter.o: undefined reference to `gone'"),
  ).toContain('undefined reference');
  expect(textOf('/usr/bin/ld: cannot find -lfoo\ncollect2: error: ld returned 1')).toContain(
    'cannot find -lfoo',
  );
  expect(
    textOf(
      'CMake Error at CMakeLists.txt:6 (message):\n  PostgreSQL was\n  not found\n\nCall Stack',
    ),
  ).toBe('CMakeLists.txt:6: PostgreSQL was not found');
  expect(textOf("make: *** No rule to make target 'a.c', needed by 'a.o'.  Stop.")).toContain(
    'No rule to make target',
  );
  expect(textOf('gcc -c x.c\nall is well')).toBeUndefined();
});

test('the variable of a Makefile that asks for the native processor is named', () => {
  expect(nativeVariable('A = 1\nOPTFLAGS = -march=native\nPG_CFLAGS += $(OPTFLAGS)')).toBe(
    'OPTFLAGS',
  );
  expect(nativeVariable('PG_CFLAGS += -O3 -mcpu=native')).toBe('PG_CFLAGS');
  expect(nativeVariable('OPTFLAGS = -mtune=native')).toBeUndefined();
});
