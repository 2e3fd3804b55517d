/** Where people reach the bridge: what is configured, or where it listens once that is known. */
export interface PublicAddress {
  /** Without a slash at the end. */
  url(): string;
  /** Called by the bridge when it listens. */
  listensOn(url: string): void;
}

export function createPublicAddress(configured: string): PublicAddress {
  let url = configured.replace(/\/+$/, '');
  return {
    url: () => url,
    listensOn(found) {
      if (configured === '') url = found;
    },
  };
}
