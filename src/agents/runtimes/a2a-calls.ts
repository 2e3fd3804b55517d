/** The calls of A2A that a task needs, and what the library throws as what it means. */
import { A2AError } from '@a2a-js/sdk/errors';
import type { SendMessageRequest } from '@a2a-js/sdk';
import { AppError, type Log } from '../../base/base.ts';
import { outboundFailure } from '../../outbound/outbound.ts';
import type { Peer } from './a2a-card.ts';
import type { RemoteTask } from './a2a-task.ts';

/** Between two looks at a task without a stream: at first soon, then like this. */
const leastPollMs = 100;
const mostPollMs = 2_000;
/** Looks in a row that may fail before the task is given up. */
const maxLostPolls = 5;
const cancelTimeMs = 2_000;
const internalError = -32_603;

/** Sends the message and applies what comes until the task is over or the stream is cut. */
export async function streamMessage(
  peer: Peer,
  request: SendMessageRequest,
  task: RemoteTask,
): Promise<void> {
  const { signal } = peer.context;
  try {
    for await (const event of peer.client.sendMessageStream(request, { signal })) {
      task.apply(event);
      if (task.isOver()) return;
    }
  } catch (thrown) {
    const error = peerError(thrown, peer);
    // A task that is known can be asked after; what was never begun has failed, and so has what is too large.
    const mayGoOn = task.id() !== undefined && error.retryable && !signal.aborted;
    if (!mayGoOn) throw error;
  }
}

/** Sends the message and applies the answer, which may be a task that goes on. */
export async function sendMessage(
  peer: Peer,
  request: SendMessageRequest,
  task: RemoteTask,
): Promise<void> {
  try {
    const result = await peer.client.sendMessage(request, { signal: peer.context.signal });
    if ('messageId' in result) task.applyMessage(result);
    else task.applyTask(result);
  } catch (thrown) {
    throw peerError(thrown, peer);
  }
}

/** Asks for the task until it is over. A few looks in a row may fail. */
export async function pollTask(peer: Peer, task: RemoteTask): Promise<void> {
  const { agent, clock, signal } = peer.context;
  let lost = 0;
  for (let pauseMs = leastPollMs; !task.isOver(); pauseMs = Math.min(pauseMs * 2, mostPollMs)) {
    const id = task.id();
    if (id === undefined) {
      const message = `agent ${agent} ended its stream without a task or a message`;
      throw new AppError('agent_failed', message, { details: { agent } });
    }
    try {
      task.applyTask(await peer.client.getTask({ tenant: '', id, historyLength: 1 }, { signal }));
      lost = 0;
    } catch (thrown) {
      const error = peerError(thrown, peer);
      lost += 1;
      if (signal.aborted || !error.retryable || lost >= maxLostPolls) throw error;
    }
    if (!task.isOver()) await clock.sleep(pauseMs, signal);
  }
}

/** As well as it can be done: the peer may be gone, and the attempt has failed either way. */
export async function cancelTask(peer: Peer, task: RemoteTask, log: Log): Promise<void> {
  const id = task.id();
  if (id === undefined) return;
  const options = { signal: AbortSignal.timeout(cancelTimeMs) };
  try {
    await peer.client.cancelTask({ tenant: '', id, metadata: undefined }, options);
  } catch (thrown) {
    const { code } = peerError(thrown, peer);
    log.debug({ agent: peer.context.agent, code }, 'a remote task was not cancelled');
  }
}

function peerError(thrown: unknown, { url, context: { agent } }: Peer): AppError {
  const fromPeer = a2aError(thrown);
  if (fromPeer !== undefined) {
    // A peer's defect may pass; what it says of the request does not.
    const retryable = 'envelopeCode' in fromPeer && fromPeer.envelopeCode === internalError;
    const said = fromPeer.message.slice(0, 1_000);
    const message = `agent ${agent} answered with an error: ${said}`;
    return new AppError('agent_failed', message, { details: { agent, said }, retryable });
  }
  const error = outboundFailure(thrown, url);
  if (error.code !== 'internal') return error;
  const said = error.message.slice(0, 1_000);
  return new AppError('agent_failed', `agent ${agent} answered what is no A2A: ${said}`, {
    details: { agent, said },
  });
}

/** In a stream the library wraps it. */
function a2aError(thrown: unknown): A2AError | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof A2AError) return error;
  }
  return undefined;
}
