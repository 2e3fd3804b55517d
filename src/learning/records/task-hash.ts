import { hash } from 'node:crypto';

/** What a task's words are kept under: SHA-256 of type, a zero byte and text, lower-case hex. */
export function taskHash({ type, text }: { readonly type: string; readonly text: string }): string {
  return hash('sha256', `${type}\0${text}`, 'hex');
}
