// A host in a web page, as small as it can be: the official host side of MCP Apps, one card, and what the card asked for.
import { AppBridge, PostMessageTransport, isToolVisibilityModelOnly } from '@modelcontextprotocol/ext-apps/app-bridge'

let bridge

window.show = async ({ page, tools, tool, given, result, context, capabilities }) => {
  const frame = document.querySelector('iframe')
  const named = (name) => tools.find((one) => one.name === name)
  bridge = new AppBridge(null, { name: 'stand-in', version: '1' }, capabilities, {
    hostContext: { ...context, ...(tool && { toolInfo: { tool: named(tool) } }) },
  })
  bridge.oncalltool = async ({ name, arguments: sent }) => {
    if (!named(name) || isToolVisibilityModelOnly(named(name))) throw new Error('This tool is not for apps.')
    return window.calling(name, sent)
  }
  bridge.onupdatemodelcontext = async (params) => {
    await window.telling(params)
    return {}
  }
  bridge.onmessage = async (params) => {
    await window.telling(params)
    return capabilities.deaf ? { isError: true } : {}
  }
  bridge.onopenlink = async ({ url }) => {
    await window.opening(url)
    return {}
  }
  bridge.onsizechange = ({ height }) => {
    frame.style.height = `${height}px`
  }
  const initialized = new Promise((resolve) => {
    bridge.oninitialized = resolve
  })
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow))
  frame.src = page
  await initialized
  if (given) await bridge.sendToolInput({ arguments: given })
  if (result) await bridge.sendToolResult(result)
}

// Another answer for the same card: a test of many answers need not load the page for each.
window.again = async ({ given, result }) => {
  await bridge.sendToolInput({ arguments: given })
  await bridge.sendToolResult(result)
}
window.dress = (context) => bridge.sendHostContextChange(context)
window.cancel = () => bridge.sendToolCancelled({ reason: 'The person stopped it.' })
