import { Role, type AgentCard, type Part, type SendMessageRequest } from '@a2a-js/sdk';
import type { Invocation } from '../agents.ts';

/** A text is a text; everything else is data, or its JSON for agents whose card says that they read texts only. */
export function requestOf(
  invocation: Invocation,
  value: unknown,
  card: AgentCard,
): SendMessageRequest {
  const modes = card.defaultInputModes.map((mode) => mode.toLowerCase());
  const readsData = modes.length === 0 || modes.some((mode) => /json|data|\*/.test(mode));
  const asText = typeof value === 'string' || !readsData;
  const text = typeof value === 'string' ? value : JSON.stringify(value ?? null);
  return {
    tenant: '',
    message: {
      messageId: invocation.attemptId,
      contextId: '',
      taskId: '',
      role: Role.ROLE_USER,
      parts: [
        asText
          ? part({ $case: 'text', value: text }, 'text/plain')
          : part({ $case: 'data', value }, 'application/json'),
      ],
      metadata: undefined,
      extensions: [],
      referenceTaskIds: [],
    },
    configuration: {
      acceptedOutputModes: [],
      taskPushNotificationConfig: undefined,
      returnImmediately: true,
    },
    metadata: undefined,
  };
}

function part(content: NonNullable<Part['content']>, mediaType: string): Part {
  return { content, metadata: undefined, filename: '', mediaType };
}
