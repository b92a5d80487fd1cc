-- Makes each request differ from the others by its query, so that none may share another's answer.
local asked = 0

request = function()
  asked = asked + 1
  return wrk.format(nil, wrk.path .. "?asked=" .. asked)
end
