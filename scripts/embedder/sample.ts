import { createHash } from 'node:crypto';
import { embedWith, type OfflineModel } from '../../src/learning/embedding/offline-model.ts';
import { vectorBytes } from '../../src/learning/embedding/vectors.ts';

const texts = [
  '',
  'Find out why the nightly build fails since Tuesday, exit status 137',
  'parseConfigFile throws in C++ and c#',
  'Wörter mit Umlauten, слова, 修复构建错误, 🦀',
  'zorblax frobnicator '.repeat(300),
];

/** SHA-256 of the vectors of some texts: what every other machine must come to as well. */
export function sampleDigest(model: OfflineModel): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(vectorBytes(embedWith(model, text)));
  return hash.digest('hex');
}
