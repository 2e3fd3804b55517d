import { expect, test } from 'vitest';
import { AppError, systemClock } from '../../base/base.ts';
import { executionRow } from '../../../test/support/execution-rows.ts';
import { createOfflineEmbedder } from '../embedding/offline.ts';
import { createNeighbourhood } from '../similarity/similarity.ts';
import type { Embedder } from '../types.ts';
import { Feed } from './feed.ts';
import { RouterModel } from './model.ts';
import { firstPolicy } from './policy.ts';

const offline = await createOfflineEmbedder();
const rows = Array.from({ length: 300 }, (_, at) =>
  executionRow({ task_hash: at.toString(16).padStart(64, '0'), description: `review ${at}` }),
);

/** As a server does that takes some texts and not others. */
function refusing(isBad: (text: string) => boolean): Embedder {
  return {
    name: 'refusing',
    embed: async (texts) => {
      if (texts.some(isBad)) throw new AppError('embedding_invalid', 'no vector for that');
      return offline.embed(texts);
    },
  };
}

function open(embedder: Embedder): Feed {
  const model = new RouterModel(firstPolicy);
  const neighbourhood = createNeighbourhood();
  return new Feed({ embedder, neighbourhood, model: () => model, clock: systemClock });
}

test('a text that the embedder refuses is left out, and all others are learned', async () => {
  const feed = open(refusing((text) => text === 'review 17' || text === 'review 203'));
  await feed.take(rows);
  expect(feed.learned).toBe(298);
});

test('an embedder that refuses everything is no reason to pass over outcomes', async () => {
  const feed = open(refusing(() => true));
  await expect(feed.take(rows)).rejects.toMatchObject({ code: 'embedding_invalid' });
});
