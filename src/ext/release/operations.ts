/** Changes to files of the target, each of which is done or not, and may be done again. */
import { AppError } from '../../base/base.ts';
import type { Host } from '../host/host.ts';

export type Operation =
  /** A link that says `text`, in the place of whatever file or link is there. */
  | { readonly verb: 'link'; readonly target: string; readonly text: string }
  /** A copy of the file `text`, with `mode` as `stat -c '%a %u %g'` writes it. */
  | {
      readonly verb: 'file';
      readonly target: string;
      readonly text: string;
      readonly mode: string;
    }
  /** No link that says `text`; whatever else has come into its place stays. */
  | { readonly verb: 'unlink'; readonly target: string; readonly text: string };

/**
 * Written beside and renamed over: a server that opens the name meanwhile gets the old one or the new one.
 * On the disk when it is done: the folders alone, since to flush a whole machine would hold up its server.
 * A library is never written in place, which would crash every backend that has it mapped.
 */
const script = `set -eu
tab=$(printf '\\t')
id=$1
hash() { sha256sum < "$1"; }
while IFS=$tab read -r verb target text mode; do
  beside=\${target%/*}/.centuria-$id
  case $verb in
  link)
    if [ -L "$target" ] && [ "$(readlink "$target")" = "$text" ]; then continue; fi
    rm -f "$beside"
    ln -s "$text" "$beside"
    mv -fT "$beside" "$target"
    ;;
  file)
    # One that was not replaced yet needs no room to be given back.
    if [ -f "$target" ] && [ ! -L "$target" ] &&
      [ "$(stat -c '%a %u %g' "$target")" = "$mode" ] &&
      [ "$(hash "$target")" = "$(hash "$text")" ]; then continue; fi
    rm -f "$beside"
    cp "$text" "$beside"
    chmod "\${mode%% *}" "$beside"
    owner=\${mode#* }
    if [ "$(id -u)" = 0 ]; then chown "\${owner% *}:\${owner#* }" "$beside"; fi
    mv -fT "$beside" "$target"
    ;;
  unlink)
    if [ -L "$target" ] && [ "$(readlink "$target")" = "$text" ]; then rm -f "$target"; fi
    ;;
  *)
    echo "unknown operation: $verb" >&2
    exit 1
    ;;
  esac
done
shift
sync "$@" 2>/dev/null || sync
`;

/** Does them in their order. `id` tells files of this deployment that a crash leaves half made. */
export async function apply(
  host: Host,
  id: string,
  operations: readonly Operation[],
  signal?: AbortSignal,
): Promise<void> {
  if (operations.length === 0) return;
  const lines = operations.map((operation) => {
    const fields = [operation.verb, operation.target, operation.text];
    if (operation.verb === 'file') fields.push(operation.mode);
    // oxlint-disable-next-line no-control-regex -- a tab or a line feed would be read as another field
    if (fields.some((field) => /[\0-\x1f\\]/.test(field))) {
      throw new AppError('invalid_input', `${JSON.stringify(operation.target)}: no such file name`);
    }
    return `${fields.join('\t')}\n`;
  });
  const folders = new Set(operations.map(({ target }) => target.replace(/\/[^/]*$/, '')));
  await host.check(script, {
    args: [id, ...folders],
    input: lines.join(''),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Takes away what a crash in the middle of an operation left in these folders. */
export async function clearLeftovers(
  host: Host,
  id: string,
  folders: readonly string[],
): Promise<void> {
  await host.check('id=$1; shift; for folder; do rm -f "$folder/.centuria-$id"; done', {
    args: [id, ...folders],
  });
}
