import { AppError } from '../../base/base.ts';

/**
 * A package that only some embedders need and that is not installed with Centuria. Throws `unavailable`
 * with the command that installs it.
 */
export async function optionalPackage(name: string, why: string): Promise<unknown> {
  try {
    return await import(name);
  } catch (thrown) {
    throw new AppError('unavailable', `the package ${name} can not be loaded: ${why}`, {
      remedy: `Install it beside Centuria: npm install ${name}. Or set learningEmbedder to offline.`,
      retryable: false,
      cause: thrown,
    });
  }
}
