import { afterAll, expect, test } from 'vitest';
import { systemClock } from '../../base/base.ts';
import { createOutbound } from '../../outbound/outbound.ts';
import { createEmbedder, type EmbedderOptions } from './embedding.ts';

const outbound = createOutbound({ allow: [] });
afterAll(() => outbound.close());

const create = (
  settings: Partial<EmbedderOptions['settings']>,
  env: EmbedderOptions['env'] = {},
): ReturnType<typeof createEmbedder> =>
  createEmbedder({
    settings: {
      learningEmbedder: 'offline',
      embeddingModel: '',
      embeddingBaseUrl: '',
      embeddingLongVectors: 'refuse',
      ...settings,
    },
    env,
    outbound,
    clock: systemClock,
  });

test('the offline one needs no setting', async () => {
  expect((await create({})).name).toMatch(/^offline-1-[0-9a-f]{12}$/);
});

test('the others need a model, and OpenAI a key', async () => {
  for (const learningEmbedder of ['openai-compatible', 'model2vec', 'onnx'] as const) {
    await expect(create({ learningEmbedder })).rejects.toMatchObject({
      code: 'config_invalid',
      message: `embeddingModel is empty, and ${learningEmbedder} needs one`,
    });
  }
  const server = { learningEmbedder: 'openai-compatible', embeddingModel: 'm' } as const;
  await expect(create(server)).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('OPENAI_API_KEY'),
  });
  const own = await create(server, { OPENAI_API_KEY: 'k' });
  expect(own.name).toBe('openai-compatible/api.openai.com/m');
  const local = await create({ ...server, embeddingBaseUrl: 'http://127.0.0.1:11434/v1/' });
  expect(local.name).toBe('openai-compatible/127.0.0.1:11434/m');
});
