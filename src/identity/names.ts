/**
 * A name or e-mail address as it is compared and stored: compatibility forms first, then lower case,
 * since some letters change under one only after the other (Kelvin sign, full-width letters). Cut to
 * what a name may have, so that a long one costs nothing.
 */
export function normaliseName(text: string): string {
  return text
    .slice(0, 1_000)
    .normalize('NFKC')
    .toLowerCase()
    .normalize('NFKC')
    .trim()
    .slice(0, 255);
}
