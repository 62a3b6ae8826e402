// Starts the page.

import { render } from 'preact';
import { App } from './app';
import { startKeys } from './keys';
import { follow } from './live';
import { startTheme } from './theme';
import './styles/tokens.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/parts.css';
import './styles/pages.css';
import './styles/trace.css';
import './styles/profile.css';
import './styles/alerts.css';

const root = document.getElementById('app');
if (!root) throw new Error('The page has no #app to draw into.');
startTheme();
startKeys();
follow();
render(<App />, root);
