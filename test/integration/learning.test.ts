/** From the outcomes of runs to the next choice, through the database and through a restart. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AppError, systemClock } from '../../src/base/base.ts';
import { createEmbedder, openLearning, type Learning } from '../../src/learning/learning.ts';
import { createOutbound } from '../../src/outbound/outbound.ts';
import { openFixture, openStore, type Fixture, type TestStore } from '../support/coordination.ts';
import { drivers, silentLog, unavailable, until } from '../support/databases.ts';

const names = ['careful', 'hasty'];
const flow = `
mode: sequential
inputs: { job: { type: string } }
tasks:
  do:
    route: { among: [careful, hasty] }
    type: scan
    retries: 0
    onFailure: continue
    input: { task: '\${inputs.job}' }
`;
const job = 'Look for leaked keys in the repository.';

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let store: TestStore;
    let learning: Learning;
    let fixture: Fixture;

    const open = async (): Promise<Learning> =>
      openLearning({
        database: store.database,
        clock: systemClock,
        log: silentLog,
        embedder: await createEmbedder({
          settings: {
            learningEmbedder: 'offline',
            embeddingModel: '',
            embeddingBaseUrl: '',
            embeddingLongVectors: 'refuse',
          },
          env: {},
          outbound: createOutbound({ allow: [] }),
          clock: systemClock,
        }),
        isKnown: (name) => names.includes(name),
        learns: true,
        keepDays: 0,
      });

    beforeAll(async () => {
      store = await openStore(driver);
      learning = await open();
      fixture = await openFixture(
        store,
        { flow },
        {
          careful: () => 'done',
          hasty: () => {
            throw new AppError('agent_failed', 'it was too hasty', { retryable: true });
          },
        },
        { router: { choose: (request) => learning.choose(request) } },
      );
    });
    afterAll(async () => {
      await fixture?.part.stop(1_000);
      await learning?.close();
      await store?.close();
    });

    /** Outcomes are added up by one loop and learned by another, each within a second or so. */
    const settled = async () => {
      await until(async () => (await learning.status()).behind === 0);
      // Refuses to fit on so little, after it has learned all that there is.
      await learning.retrain().catch(() => undefined);
    };

    const recommend = () =>
      learning.recommend({
        task: { type: 'scan', text: job },
        candidates: names.map((name) => ({
          name,
          hash: name,
          description: '',
          category: 'security',
          capabilities: [],
          timeoutMs: 1_000,
        })),
      });

    test('before any outcome says that it knows nothing', async () => {
      const { basis, confidence, expected } = await recommend();
      expect(basis).toBe('nothing');
      expect(confidence).toBeLessThan(0.2);
      expect(expected).toEqual({});
      const { executions, calibration, signing } = await learning.status();
      expect(executions).toBe(0);
      expect(calibration).toBeUndefined();
      expect(signing.available).toBe(false);
    });

    test('chooses by what runs came to, and says with which probability', async () => {
      await Promise.all(Array.from({ length: 6 }, () => fixture.run('flow', { job })));
      await until(async () => (await learning.status()).behind === 0);
      await Promise.all(Array.from({ length: 24 }, () => fixture.run('flow', { job })));
      const { items } = await fixture.part.runs.list({ limit: 100 });
      expect(items).toHaveLength(30);
      await settled();
      const found = await recommend();
      expect(found.basis).toBe('outcomes');
      expect(found.agent).toBe('careful');
      expect(found.confidence).toBeGreaterThan(0.4);
      expect(found.expected.ms).toBeDefined();
      expect(found.neighbours[0]).toMatchObject({ type: 'scan', similarity: expect.closeTo(1, 5) });
      const status = await learning.status();
      expect(status.executions).toBe(30);
      expect(status.texts).toBe(1);
      expect(status.calibration?.outcomes).toBe(30);
      expect(status.policy).toBe('first');
    });

    test('ratings of one principal move no choice, those of three do', async () => {
      const run = (await fixture.part.runs.list({ limit: 100 })).items[0];
      const score = async () =>
        (await recommend()).prospects.find(({ agent }) => agent === rated)?.score;
      const first = await learning.feedback({
        of: { runId: run?.id ?? '' },
        score: 1,
        by: { id: 'p1', name: 'ann' },
      });
      const rated = first.agent;
      await learning.setMode('balanced');
      const before = await score();
      for (let again = 0; again < 20; again += 1) {
        await learning.feedback({
          of: { runId: run?.id ?? '' },
          score: 1,
          by: { id: 'p1', name: 'ann' },
        });
      }
      await learning.setMode('balanced');
      expect(await score()).toBeCloseTo(before ?? 0, 9);
      for (const id of ['p2', 'p3']) {
        await learning.feedback({ of: { runId: run?.id ?? '' }, score: 1, by: { id, name: id } });
      }
      await learning.setMode('balanced');
      expect(await score()).toBeCloseTo((before ?? 0) - 0.1, 9);
    });

    test('is set for all, and refuses to fit on too little', async () => {
      await learning.setMode('exploration');
      expect(await learning.mode()).toBe('exploration');
      expect((await recommend()).agent).toBe('careful');
      await learning.setMode('balanced');
      await expect(learning.retrain()).rejects.toThrow(/outcomes; 143 are needed/);
      expect((await learning.policies()).items).toEqual([]);
    });

    test('knows after a restart what it knew before', async () => {
      const before = await recommend();
      await learning.close();
      learning = await open();
      await settled();
      const after = await recommend();
      expect([after.agent, after.basis]).toEqual([before.agent, 'outcomes']);
      expect(after.success.mean).toBeCloseTo(before.success.mean, 6);
      expect(after.prospects[0]?.evidence).toBe(before.prospects[0]?.evidence);
    });
  });
}
