/** Feeds Mantine from the design tokens; keeps the chosen colour scheme. */

import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from '@mantine/core';

const same = (token: string): MantineColorsTuple => Array.from({ length: 10 }, () => token) as unknown as MantineColorsTuple;

export const theme = createTheme({
  fontFamily: 'var(--font)',
  fontFamilyMonospace: 'var(--mono)',
  primaryColor: 'accent',
  colors: { accent: same('var(--accent)') },
  defaultRadius: 6,
  white: 'var(--bg)',
  black: 'var(--t1)',
  cursorType: 'pointer',
  components: {
    // The page itself never scrolls, and the lock would write a style element without a nonce.
    Modal: {
      defaultProps: {
        lockScroll: false,
        centered: true,
        radius: 10,
        padding: 20,
        overlayProps: { backgroundOpacity: 0.5 },
        transitionProps: { duration: 120 },
      },
    },
    TextInput: { defaultProps: { withAsterisk: false } },
    PasswordInput: { defaultProps: { withAsterisk: false } },
    Menu: { defaultProps: { shadow: 'none', radius: 6, transitionProps: { duration: 120 } } },
    Tooltip: { defaultProps: { openDelay: 400, transitionProps: { duration: 120 }, withArrow: false } },
  },
});

const common = {
  '--mantine-color-body': 'var(--raised)',
  '--mantine-color-text': 'var(--t1)',
  '--mantine-color-dimmed': 'var(--t3)',
  '--mantine-color-placeholder': 'var(--t3)',
  '--mantine-color-default': 'var(--bg)',
  '--mantine-color-default-hover': 'var(--hover)',
  '--mantine-color-default-color': 'var(--t1)',
  '--mantine-color-default-border': 'var(--line3)',
  '--mantine-color-error': 'var(--crit)',
  '--mantine-color-anchor': 'var(--accent)',
  '--mantine-color-disabled-color': 'var(--t4)',
  '--mantine-font-size-sm': '13px',
  '--mantine-line-height-sm': '20px',
};

export const resolver: CSSVariablesResolver = () => ({ variables: common, light: common, dark: common });

export type Scheme = 'auto' | 'dark' | 'light';
const key = 'mantine-color-scheme-value';

/** Sets the scheme before the first paint, which Mantine would do by an inline script. */
export function applyStoredScheme(): void {
  const stored = localStorage.getItem(key);
  const dark = stored === 'dark' || (stored !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
}

/** The nonce that the hub put into the page for styles. */
export const styleNonce = (): string => document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? '';
